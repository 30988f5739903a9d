"""The real Pulumi engine drives the provider through the life of a stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from on_demand import on_demand
from provider_stack_program import Wanted

from runbook.toolchain.pulumi_cli import ensure_cli

pytestmark = [pytest.mark.integration, on_demand]

_SECRET = "hunter2-hunter2"
_PROGRAM = Path(__file__).with_name("provider_stack_program.py")
_ROOT = Path(__file__).parents[3]


class Stack:
    """A stack with a state of its own under *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "state").mkdir()
        self._environment = os.environ | {
            "PATH": f"{_plugins(folder / 'bin')}:{os.environ['PATH']}",
            "PYTHONPATH": str(_ROOT),
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def run(self, verb: str, wanted: Wanted) -> dict[str, Any]:
        """Run *verb*; its changes and outputs."""
        process = self._run(verb, wanted)
        assert process.returncode == 0, process.stderr
        return dict(json.loads(process.stdout))

    def fail(self, verb: str, wanted: Wanted) -> str:
        """Run *verb*, which must fail; what the engine says."""
        process = self._run(verb, wanted)
        assert process.returncode == 1
        return process.stderr

    def _run(self, verb: str, wanted: Wanted) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(_PROGRAM), verb, json.dumps(asdict(wanted))]
        return subprocess.run(command, env=self._environment, text=True, capture_output=True, check=False)

    def state(self) -> str:
        """All files of the state, as they lie there."""
        files = (path for path in (self._folder / "state").rglob("*") if path.is_file())
        return "\n".join(path.read_text() for path in files)

    def resource(self, name: str) -> dict[str, Any]:
        """The resource *name* as it stands in the state."""
        (file,) = (self._folder / "state/.pulumi/stacks").glob("*/test.json")
        resources = json.loads(file.read_text())["checkpoint"]["latest"]["resources"]
        return next(dict(resource) for resource in resources if resource["urn"].endswith(f"::{name}"))


def _plugins(folder: Path) -> Path:
    """A folder with the CLI, and with the provider under the name that the CLI looks for."""
    folder.mkdir()
    (folder / "pulumi").symlink_to(ensure_cli(print))
    plugin = folder / "pulumi-resource-docker"
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -m infra.docker_provider "$@"\n')
    plugin.chmod(0o755)
    return folder


@pytest.fixture
def wanted(prefix: str, image: str) -> Wanted:
    """What the program asks for first."""
    return Wanted(prefix, image, _SECRET)


@pytest.fixture
def stack(tmp_path: Path, wanted: Wanted) -> Iterator[Stack]:
    """An empty stack, destroyed at the end."""
    stack = Stack(tmp_path)
    yield stack
    stack.run("destroy", wanted)


def left_over(api: Any, prefix: str) -> list[Any]:
    """What is on the engine under the prefix."""
    return [
        *api.containers(all=True, filters={"name": prefix}),
        *api.networks(names=[prefix]),
        *(api.volumes(filters={"name": prefix})["Volumes"] or ()),
    ]


def test_life_of_a_stack(stack: Stack, wanted: Wanted, api: Any) -> None:
    """From a preview to a destroy, each step changes what it should and nothing else."""
    web = f"{wanted.prefix}-web"

    assert stack.run("preview", wanted)["changes"] == {"create": 5}, "the stack and its four resources"
    assert left_over(api, wanted.prefix) == []

    made = stack.run("up", wanted)
    assert made == {"changes": {"create": 5}, "outputs": {"driver": "bridge"}}
    first_id = api.inspect_container(web)["Id"]
    assert stack.run("up", wanted)["changes"] == {"same": 5}

    assert _SECRET in str(api.inspect_container(web)["Config"]["Env"])
    assert _SECRET not in stack.state()
    assert "ciphertext" in stack.resource("web")["outputs"]["envs"]

    wanted = replace(wanted, memory=96)
    assert stack.run("up", wanted)["changes"] == {"same": 4, "update": 1}
    assert api.inspect_container(web)["Id"] == first_id
    assert api.inspect_container(web)["HostConfig"]["Memory"] == 96 << 20

    wanted = replace(wanted, greeting="good day")
    assert stack.run("up", wanted)["changes"] == {"same": 4, "replace": 1}
    assert "GREETING=good day" in api.inspect_container(web)["Config"]["Env"]

    api.remove_container(web, force=True)
    assert stack.run("up-refreshed", wanted)["changes"]["create"] == 1
    assert api.inspect_container(web)["State"]["Running"]

    broken = replace(wanted, health="false", wait_timeout=10)
    text = stack.fail("up", broken)
    assert f"container {web} failed to be in healthy state within 10 s: it is unhealthy" in text
    assert "Traceback" not in text
    assert _SECRET not in text
    kept = stack.resource("web")
    assert kept["id"] == api.inspect_container(web)["Id"]
    assert "failed to be in healthy state" in kept["initErrors"][0]
    assert _SECRET not in stack.state()
    assert stack.run("up", wanted)["changes"] == {"same": 4, "replace": 1}
    assert stack.run("up-refreshed", wanted)["changes"] == {"same": 5}

    stack.run("destroy", wanted)
    assert left_over(api, wanted.prefix) == []
