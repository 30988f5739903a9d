"""The containers that the program declares, started for real: each starts again as well as at first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from abandoned import OURS, remove_abandoned
from declared_stack import PREFIX, Declared, declare
from docker.models.containers import Container
from fake_docker_api import fake_docker

from infra.base_images import Mode, Role, ensure, resolve
from infra.containers import ContainerExec
from infra.docker_provider.container import Container as ContainerResource
from infra.docker_provider.engine import Engine

pytestmark = pytest.mark.integration

STACK = f"{OURS}-program"
NAME = f"runbook-{STACK}"
ROLES = ("proxy", "redis", "sandbox", "web", "worker")
ITS_OWN = ("user", "readOnly", "capabilities", "securityOpts", "memory", "memorySwap", "init", "restart")
WAITS = ["python3", "-c", "import signal; signal.pause()"]
WRITES = 'for folder in "$@"; do echo x > "$folder/x" && stat -c "%n %u:%g" "$folder" || exit 1; done'


@pytest.fixture(scope="module")
def declared() -> dict[str, Declared]:
    """One container of each role."""
    with fake_docker() as engine:
        stack = declare(engine.host)
    found = {role: each for each in stack.containers() for role in ROLES if f"{PREFIX}-{role}" in each.name}
    assert set(found) == set(ROLES)
    return found


@pytest.fixture
def started(declared: dict[str, Declared], request: pytest.FixtureRequest) -> Iterator[Container]:
    """The container of one role, with a program that only waits, in an image that has every role's needs."""
    remove_abandoned()
    python = resolve(Role.PYTHON, Mode.AUTO)
    ensure(python, print)
    inputs = declared[request.param].inputs
    own = {key: inputs[key] for key in ITS_OWN if key in inputs}
    resource = ContainerResource()
    checked, failures = resource.check(
        {**own, "name": f"{NAME}-{request.param}", "image": python.name, "command": WAITS}
        | {"tmpfs": inputs["tmpfs"], "networkMode": "none"}
        | {"labels": [{"label": "runbook.stack", "value": STACK}]},
        {},
        None,
    )
    assert failures == []
    with ExitStack() as undo:
        made = resource.create(Engine(), checked)
        container = docker.from_env().containers.get(made.id)
        undo.callback(container.remove, force=True)
        yield container


def written(container: Container, folders: list[str]) -> str:
    """What it says of *folders* after it wrote into each, as its own user."""
    code, output = ContainerExec(container.name or "").run(["sh", "-c", WRITES, "sh", *folders])
    assert code == 0, output
    return output


def until_restarted(container: Container, before: str) -> None:
    """Until the engine has started it again by itself."""
    deadline = time.monotonic() + 120
    while not (container.attrs["State"]["Running"] and container.attrs["State"]["StartedAt"] != before):
        assert time.monotonic() < deadline, container.attrs["State"]
        time.sleep(0.05)
        container.reload()


@pytest.mark.parametrize("started", ROLES, indirect=True)
def test_every_tmpfs_can_be_written_after_each_start(
    started: Container, declared: dict[str, Declared]
) -> None:
    """By the container's user, after a SIGKILL of its first process and after `docker kill`, twice each."""
    inputs = declared[(started.name or "").removeprefix(f"{NAME}-")].inputs
    folders = sorted(inputs["tmpfs"])
    assert folders, "each has one"
    at_first = written(started, folders)
    assert at_first == "".join(f"{folder} {inputs['user']}\n" for folder in folders)
    for _ in range(2):
        started.reload()
        before = started.attrs["State"]["StartedAt"]
        os.kill(started.attrs["State"]["Pid"], signal.SIGKILL)
        until_restarted(started, before)
        assert written(started, folders) == at_first
        started.kill()
        started.start()
        assert written(started, folders) == at_first


def test_a_proxy_asks_briefly_for_names_that_nobody_has(declared: dict[str, Declared]) -> None:
    """At a start before its servers', where the DNS outside does not answer: libc's own are 10 s a name."""
    engine, inputs, labels = docker.from_env(), declared["proxy"].inputs, {"runbook.stack": STACK}
    remove_abandoned()
    network = engine.networks.create(NAME, labels=labels)
    try:
        container = engine.containers.run(
            resolve(Role.PYTHON, Mode.AUTO).name,
            ["sh", "-c", "date +%s; getent ahosts nobody; date +%s"],
            network=network.name,
            labels=labels,
            dns=["127.0.0.1"],
            dns_opt=inputs["dnsOpts"],
            detach=True,
        )
        try:
            container.wait()
            began, ended = map(int, container.logs().split())
        finally:
            container.remove(force=True)
    finally:
        network.remove()
    assert ended - began < 8
