"""On a real engine, what is created and read has the recorded shape: the same keys, types, and values."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from provider_client import Client, recorded, without_internals

pytestmark = pytest.mark.integration

Map = dict[str, Any]

_CHOSEN_BY_ENGINE = {
    "id",
    "imageId",
    "hostname",
    "mountpoint",
    "networkDatas",
    "ipamConfigs",
    "gateway",
    "subnet",
}
"""Outputs whose values differ from engine to engine: only their shape is compared."""


@pytest.fixture
def stage(client: Client, image: str, prefix: str, tmp_path: Path) -> Stage:
    """The recorded calls, retold for this engine."""
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nARG X\nLABEL x=$X\n")
    return Stage(
        client,
        {
            json.dumps(["python3", "-m", "http.server", "8000"]): json.dumps(["httpd", "-f", "-p", "8000"]),
            '"wa-base:bookworm"': f'"{image}"',
            '"/project/ctx"': f'"{tmp_path}"',
            "rec-": f"{prefix}-rec-",
            "net-868f6d7": f"{prefix}-net",
            "data-7daf78f": f"{prefix}-data",
            "plain-64603c6": f"{prefix}-plain",
            "18000": str(_free_port()),
        },
    )


class Stage:
    """Plays recorded calls with what belongs to the recording engine replaced by what belongs to this one."""

    def __init__(self, client: Client, names: dict[str, str]) -> None:
        self._client, self._names = client, names

    def create(self, name: str) -> tuple[Map, Map]:
        """Create the recorded resource *name*; its answer, and the recorded one."""
        call = self._call("Create", name)
        answer = self._client.call("Create", call["request"])
        self._names[call["response"]["id"].removesuffix(_image_name(call))] = answer["id"].removesuffix(
            _image_name(call)
        )
        return answer, call["response"]

    def read(self, name: str, made: Map) -> tuple[Map, Map]:
        """Refresh the resource *name* as recorded; its answer, and the recorded one."""
        call = self._call("Read", name)
        request = call["request"] | {"id": made["id"], "properties": made["properties"]}
        return self._client.call("Read", request), call["response"]

    def delete(self, name: str, made: Map) -> Map:
        """Delete the resource *name*."""
        urn = self._call("Create", name)["request"]["urn"]
        return self._client.call("Delete", {"id": made["id"], "urn": urn, "properties": made["properties"]})

    def _call(self, method: str, name: str) -> Map:
        call = next(call for call in recorded(method) if call["request"]["urn"].endswith(f"::{name}"))
        for tests in _health_tests(call):
            self._names[json.dumps(tests)] = json.dumps(["CMD", "true"])
        text = json.dumps(without_internals(call))
        for theirs, ours in self._names.items():
            text = text.replace(theirs, ours)
        return dict(json.loads(text))


def _health_tests(call: Map) -> list[list[str]]:
    check = call["request"].get("properties", {}).get("healthcheck")
    return [check["tests"]] if check else []


def _image_name(call: Map) -> str:
    properties = call["request"]["properties"]
    return str(properties["name"]) if "::image" in call["request"]["urn"] else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shape(value: Any, key: str = "") -> Any:
    """*value* as it has to be alike: what the engine chooses is reduced to its type, or to its members'."""
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(item, key) for item in value]
    return _kind(value) if key in _CHOSEN_BY_ENGINE else value


def _kind(value: Any) -> str:
    # The protocol's JSON has one kind of number.
    return "number" if isinstance(value, float) else type(value).__name__.replace("int", "number")


def comparable(properties: Map) -> Map:
    """*properties* reduced to what has to be alike; addresses and a host name made of the id are not."""
    reduced = dict(shape(properties))
    for data in properties.get("networkDatas") or ():
        reduced["networkDatas"] = {name: _kind(value) for name, value in data.items()}
    given = properties.get("hostname", "").startswith("web")
    return reduced | ({"hostname": properties["hostname"]} if given else {})


def test_program_is_created_read_and_deleted_as_recorded(stage: Stage) -> None:
    """The recorded program, resource by resource: outputs after create and refresh, and an empty delete."""
    made = {}
    for name in ("image", "net", "data", "plain", "seed", "full"):
        made[name], expected = stage.create(name)
        assert comparable(made[name]["properties"]) == comparable(expected["properties"])
    for name in ("image", "net", "data", "plain", "seed"):
        answer, expected = stage.read(name, made[name])
        assert comparable(answer["properties"]) == comparable(expected["properties"])
        assert answer["id"] == made[name]["id"]
    for name in ("full", "seed", "plain", "data", "net", "image"):
        assert stage.delete(name, made[name]) == {}
        assert stage.delete(name, made[name]) == {}, "gone already is fine"
        assert stage.read(name, made[name])[0] == {}, "and reads as nothing"


def test_refresh_keeps_the_inputs(stage: Stage) -> None:
    """Without drift a refresh gives back the inputs as they were, and the next update has nothing to do."""
    made, _ = stage.create("data")
    answer, expected = stage.read("data", made)
    assert answer["inputs"] == expected["inputs"]
    stage.delete("data", made)
