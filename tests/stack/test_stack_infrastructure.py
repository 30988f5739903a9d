"""Proxy, Redis and the volumes: what an update does to them, and what it never does."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

import docker
import pytest
from docker.models.containers import Container
from on_demand import on_demand
from project import Project
from sender import Sender, wait_for_replies
from steady_client import SteadyClient

from contracts.free_ports import free_ports
from infra.containers import ContainerExec

pytestmark = pytest.mark.stack

TOO_LITTLE = "6m"
"""Of memory: each process of the proxy is killed as soon as it has read its configuration."""


def container(live: Project, part: str) -> Container:
    """By the end of its name."""
    return docker.from_env().containers.get(f"runbook-{live.stack}-{part}")


def set_layout(live: Project, key: str, value: object) -> None:
    """As an operator does."""
    done = live.pulumi("config", "set", "--path", f"runbook:layout.{key}", str(value))
    assert done.returncode == 0, done.stderr


def until(reached: Callable[[], bool]) -> None:
    """Until it is so."""
    deadline = time.monotonic() + 240
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def redis(live: Project, *command: str) -> str:
    """What `redis-cli` prints."""
    run = 'REDISCLI_AUTH="$(cat /conf/password)" exec redis-cli "$@"'
    code, output = ContainerExec(container(live, "redis").name or "").run(["sh", "-c", run, "sh", *command])
    assert code == 0, output
    return output.strip()


def test_up_replaces_what_restarts_for_ever(live: Project) -> None:
    """It shows what the container said last, and the live release is served again."""
    proxy = container(live, "proxy")
    proxy.stop()
    proxy.update(mem_limit=TOO_LITTLE, memswap_limit=TOO_LITTLE)
    proxy.start()
    until(lambda: restarts(proxy) >= 3)
    done = live.runbook("up")
    assert done.returncode == 0, done.stderr
    assert f"{proxy.name} restarts for ever (" in done.stderr
    assert "it said last:" in done.stderr
    assert "this update makes another" in done.stderr
    with SteadyClient(live.ports["port"], Sender(live.webhook_secret()), per_s=20) as client:
        client.wait_for_sent(20)
    assert client.failures == []


def restarts(found: Container) -> int:
    """How often the engine has started it again."""
    found.reload()
    return int(found.attrs["RestartCount"])


@on_demand
def test_what_was_stopped_of_a_kept_release_is_started_again(live: Project) -> None:
    """Also after a refresh has told the state of it: the same container, as it was gated."""
    live.append("service/webhooks/webhook.py", "\n# another release\n")
    kept = live.outputs()["release"]
    live.deploy()
    web = container(live, f"web-1-{kept}")
    web.stop()
    refreshed = live.pulumi("refresh", "--yes", "--skip-preview")
    assert refreshed.returncode == 0, refreshed.stdout
    updated = live.pulumi("up", "--yes", "--skip-preview")
    assert updated.returncode == 0, updated.stdout
    again = container(live, f"web-1-{kept}")
    assert (again.id, again.status) == (web.id, "running")


@on_demand
def test_a_volume_that_was_restored_by_hand_keeps_its_data(live: Project) -> None:
    """It has no label of ours: a refresh sees that, and nothing follows from it."""
    assert redis(live, "SET", "kept:by:test", "yes") == "OK"
    engine, server = docker.from_env(), container(live, "redis")
    name, image = f"runbook-{live.stack}-redis-data", server.attrs["Config"]["Image"]
    server.remove(force=True)
    backup = f"{name}-backup"
    copy = {"command": ["cp", "-a", "/from/.", "/to/"], "entrypoint": "", "user": "0", "remove": True}
    engine.containers.run(image, volumes={name: {"bind": "/from"}, backup: {"bind": "/to"}}, **copy)
    engine.volumes.get(name).remove()
    engine.volumes.create(name)
    engine.containers.run(image, volumes={backup: {"bind": "/from"}, name: {"bind": "/to"}}, **copy)
    engine.volumes.get(backup).remove()
    up = live.runbook("up")
    assert up.returncode == 0, up.stderr
    assert redis(live, "GET", "kept:by:test") == "yes"
    for command in (["refresh", "--yes", "--skip-preview"], ["up", "--yes", "--skip-preview"]):
        done = live.pulumi(*command)
        assert done.returncode == 0, done.stdout
    assert not engine.volumes.get(name).attrs["Labels"]
    assert redis(live, "GET", "kept:by:test") == "yes"


@on_demand
def test_the_proxy_is_replaced_on_request_only(live: Project) -> None:
    """Unasked nothing changes and nobody is refused; asked, it is said what it costs."""
    before, [port] = container(live, "proxy").id, free_ports(1)
    old = live.ports["port"]
    sender = Sender(live.webhook_secret())
    set_layout(live, "port", port)
    with SteadyClient(old, sender, per_s=20) as client:
        preview, refused = live.runbook("preview"), live.runbook("up")
    assert refused.returncode == 1
    for said in (preview.stderr, refused.stderr):
        assert f"runbook-{live.stack}-proxy is replaced (changed: ports): about" in said
        assert "bin/runbook up --replace-infrastructure" in said
    assert client.failures == []
    with socket.create_server(("127.0.0.1", port)), SteadyClient(old, sender, per_s=20) as client:
        taken = live.runbook("up", "--replace-infrastructure")
    assert taken.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken: process {os.getpid()} (" in taken.stderr
    assert client.failures == []
    assert container(live, "proxy").id == before
    asked = live.runbook("up", "--replace-infrastructure")
    assert asked.returncode == 0, asked.stderr
    assert container(live, "proxy").id != before
    live.ports["port"] = port
    with SteadyClient(port, sender, per_s=20) as client:
        client.wait_for_sent(20)
    assert client.failures == []
    answered = wait_for_replies(live.outputs()["sandbox_url"], sender.accepted[-1000:])
    assert max(answered.values()) == 1
