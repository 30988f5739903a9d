"""Networks and volumes on a real engine, and the look-up of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from provider_client import Client, recorded, serving, urn

from infra.docker_provider.server import Provider

pytestmark = pytest.mark.integration


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Client]:
    """A client of a provider whose engine does not answer."""
    with serving(Provider()) as client:
        client.call("Configure", {"args": {"host": f"unix://{tmp_path}/none.sock"}})
        yield client


def error_text(client: Client, method: str, request: dict[str, Any]) -> str:
    """What a failing request says."""
    with pytest.raises(grpc.RpcError) as error:
        client.call(method, request)
    return str(error.value.details())  # type: ignore[attr-defined]


def test_network_has_what_was_given(client: Client, api: Any, prefix: str) -> None:
    """Addresses, labels and options reach the engine and come back."""
    pool = {"subnet": "198.51.100.0/24", "gateway": "198.51.100.1"}
    labels = [{"label": "a", "value": "1"}]
    news = {"name": f"{prefix}-n", "internal": True, "ipamConfigs": [pool], "labels": labels}
    made = client.create("Network", news)
    seen = api.inspect_network(made["id"])
    assert (seen["Internal"], seen["Labels"]) == (True, {"a": "1"})
    assert seen["IPAM"]["Config"] == [{"Subnet": pool["subnet"], "Gateway": pool["gateway"]}]
    assert made["properties"]["ipamConfigs"] == [{**pool, "ipRange": "", "auxAddress": {}}]
    assert made["properties"]["driver"] == "bridge"


def test_second_network_of_a_name_is_refused(client: Client, prefix: str) -> None:
    """The engine would allow two of one name, and containers could not tell them apart."""
    client.create("Network", {"name": f"{prefix}-n"})
    inputs = client.check("Network", {"name": f"{prefix}-n"})
    text = error_text(client, "Create", {"urn": urn("Network"), "properties": inputs})
    assert f"network {prefix}-n: cannot be created" in text


def test_network_in_use_names_its_containers(client: Client, api: Any, prefix: str, image: str) -> None:
    """A network with containers on it is not removed, and the error names them; without them it goes."""
    network = client.create("Network", {"name": f"{prefix}-n"})
    on_it = [{"name": f"{prefix}-n"}]
    news = {"name": f"{prefix}-c", "image": image, "command": ["sleep", "60"], "networksAdvanced": on_it}
    container = client.create("Container", news)
    request = {"id": network["id"], "urn": urn("Network"), "properties": network["properties"]}
    text = error_text(client, "Delete", request)
    assert f"network {prefix}-n: cannot be removed" in text
    assert f"still attached: {prefix}-c" in text
    client.delete("Container", container)
    client.delete("Network", network)
    assert api.networks(names=[f"{prefix}-n"]) == []


def test_network_is_looked_up_with_its_containers(client: Client, prefix: str, image: str) -> None:
    """The function gives what the official one gave, and who is on the network."""
    network = client.create("Network", {"name": f"{prefix}-n"})
    on_it = [{"name": f"{prefix}-n"}]
    news = {"name": f"{prefix}-c", "image": image, "command": ["sleep", "60"], "networksAdvanced": on_it}
    container = client.create("Container", news)
    request = {"tok": "docker:index/getNetwork:getNetwork", "args": {"name": f"{prefix}-n"}}
    found = client.call("Invoke", request)["return"]
    assert set(found) == set(recorded("Invoke")[0]["response"]["return"])
    assert found["id"] == network["id"]
    assert [(one["containerId"], one["name"]) for one in found["containers"]] == [
        (container["id"], f"{prefix}-c")
    ]


def test_unknown_network_is_named(client: Client, prefix: str) -> None:
    """A look-up of what is not there says so."""
    request = {"tok": "docker:index/getNetwork:getNetwork", "args": {"name": f"{prefix}-none"}}
    assert f"network {prefix}-none: cannot be read" in error_text(client, "Invoke", request)


def test_unsupported_function_is_named(client: Client) -> None:
    """A function that this provider lacks fails with its name."""
    text = error_text(client, "Invoke", {"tok": "docker:index/getLogs:getLogs", "args": {}})
    assert "function docker:index/getLogs:getLogs is not supported" in text


def test_network_is_imported(client: Client, prefix: str) -> None:
    """An import by name finds the inputs; the program that made it has then nothing to replace."""
    news = {"name": f"{prefix}-n", "labels": [{"label": "a", "value": "1"}]}
    made = client.create("Network", news)
    found = client.read("Network", f"{prefix}-n")
    assert found["id"] == made["id"]
    assert found["inputs"]["labels"] == news["labels"]
    assert found["inputs"]["driver"] == "bridge"


def test_volume_made_anew_by_hand_shows(client: Client, api: Any, prefix: str) -> None:
    """A volume's id is its name: another one under it, with other labels, is a difference after a refresh."""
    news = {"name": f"{prefix}-v", "labels": [{"label": "a", "value": "1"}]}
    made = client.create("Volume", news)
    api.remove_volume(f"{prefix}-v")
    inputs = client.check("Volume", news)
    assert client.read("Volume", made["id"], inputs) == {}
    api.create_volume(f"{prefix}-v", labels={"a": "2"})
    drifted = client.read("Volume", made["id"], inputs)["inputs"]
    answer = client.diff("Volume", drifted, inputs)
    assert answer["detailedDiff"] == {"labels[0].value": {"kind": "UPDATE_REPLACE"}}


def test_volume_in_use_is_not_removed(client: Client, api: Any, prefix: str, image: str) -> None:
    """A volume that a container uses stays, and the error says what to do."""
    volume = client.create("Volume", {"name": f"{prefix}-v"})
    mounted = [{"volumeName": f"{prefix}-v", "containerPath": "/data"}]
    client.create(
        "Container",
        {"name": f"{prefix}-c", "image": image, "command": ["true"], "mustRun": False, "volumes": mounted},
    )
    request = {"id": volume["id"], "urn": urn("Volume"), "properties": volume["properties"]}
    text = error_text(client, "Delete", request)
    assert f"volume {prefix}-v: cannot be removed" in text
    assert "remove the containers that use it first" in text


def test_engine_that_does_not_answer_is_told(nowhere: Client) -> None:
    """Without an engine the error says where it was looked for and what to do; no traceback."""
    text = error_text(nowhere, "Read", {"id": "x", "urn": urn("Volume")})
    assert "no Docker engine answers at unix://" in text
    assert "start the engine, or set DOCKER_HOST" in text
    assert "Traceback" not in text
