"""The collector in a container, fed by a real engine's `fluentd` log driver."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from collector_kit import PROGRAM, lines_in, record
from docker.models.containers import Container
from docker.types import LogConfig
from waiting import wait_until

from contracts.free_ports import free_ports
from infra.base_images import Mode, Role, ensure, resolve
from infra.containers import ContainerExec

pytestmark = pytest.mark.integration

SITE = Path(sys.prefix) / "lib/python3.11/site-packages"
PACKAGES = ("msgpack", "prometheus_client")
PORTS = ("--port", "24224", "--metrics-port", "9100")
WRITES = """
import json, sys, time
for number in range(int(sys.argv[1])):
    line = {"msg": f"{sys.argv[2]}-{number}", "level": "error", "time": time.time_ns() // 1000000}
    print(json.dumps(line), flush=True)
    time.sleep(float(sys.argv[3]))
time.sleep(600)
"""


@pytest.fixture
def made() -> Iterator[list[Container]]:
    """Containers that go with the test, with their volumes."""
    containers: list[Container] = []
    yield containers
    for each in containers:
        each.remove(force=True)
    for volume in docker.from_env().volumes.list(filters={"label": "test-logs-test"}):
        volume.remove()


@pytest.fixture(scope="module")
def image() -> str:
    """Python's base image."""
    found = resolve(Role.PYTHON, Mode.AUTO)
    ensure(found, print)
    return found.name


def collector_in(image: str, made: list[Container], port: int, *options: str, **more: Any) -> Container:
    """The collector as a stack runs it: no root, read-only, 64 MB."""
    if not more:
        docker.from_env().volumes.create(f"test-logs-logs-{port}", labels={"test-logs-test": ""})
    storage = more or {"volumes": {f"test-logs-logs-{port}": {"bind": "/var/tmp", "mode": "rw"}}}
    shared = {str(PROGRAM): {"bind": "/conf/collect_logs.py", "mode": "ro"},
              **{str(SITE / each): {"bind": f"/site/{each}", "mode": "ro"} for each in PACKAGES}}  # fmt: skip
    storage["volumes"] = {**storage.get("volumes", {}), **shared}
    container = docker.from_env().containers.run(
        image,
        ["python3", "/conf/collect_logs.py", "--folder", "/var/tmp", *PORTS, *options],
        name=f"test-logs-collector-{port}",
        environment={"PYTHONPATH": "/site"},
        user="65532:65532",
        read_only=True,
        init=True,
        mem_limit="64m",
        ports={"24224/tcp": ("127.0.0.1", port)},
        detach=True,
        **storage,
    )
    made.append(container)
    return container


def writer(
    image: str, made: list[Container], port: int, count: int, name: str, pause_s: float = 0
) -> Container:
    """A container whose lines go to the collector."""
    container = docker.from_env().containers.run(
        image,
        ["python3", "-c", WRITES, str(count), name, str(pause_s)],
        name=f"test-logs-{name}-{port}",
        init=True,
        labels={"runbook.role": "web", "runbook.release": "r-1234567"},
        network_mode="none",
        detach=True,
        log_config=LogConfig(
            type="fluentd",
            config={
                "fluentd-async": "true",
                "fluentd-request-ack": "true",
                "fluentd-address": f"127.0.0.1:{port}",
                "labels": "runbook.role,runbook.release",
                "tag": "{{.Name}}",
            },
        ),
    )
    made.append(container)
    return container


def lines_of(container: Container, name: str = "*") -> list[dict[str, Any]]:
    """All lines that a collector has, copied out as they are."""
    with tempfile.TemporaryDirectory() as folder:
        code, names = ContainerExec(str(container.name)).run(["find", "/var/tmp", "-name", "*.jsonl*"])
        assert code == 0
        for path in names.splitlines():
            target = Path(folder, *Path(path).parts[-2:])
            target.parent.mkdir(exist_ok=True)
            code, text = ContainerExec(str(container.name)).run(
                ["python3", "-c", "import sys; print(open(sys.argv[1], 'rb').read().hex())", path]
            )
            if code == 0:  # else compressed meanwhile
                target.write_bytes(bytes.fromhex(text))
        return lines_in(Path(folder), name)


def numbers_of(container: Container) -> set[int]:
    """Which lines of `stream` a collector has."""
    found = (line["msg"] for line in lines_of(container, "rest"))
    return {int(msg.removeprefix("stream-")) for msg in found if msg.startswith("stream-")}


def is_listening(container: Container) -> bool:
    """Whether the collector in it takes connections."""
    code, _ = ContainerExec(str(container.name)).run(
        ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 24224))"]
    )
    return code == 0


def test_what_is_written_while_it_is_down_comes_later(image: str, made: list[Container]) -> None:
    """Containers start without it; the engine keeps the lines; a kill in mid-stream costs none."""
    (port,) = free_ports(1)
    early = writer(image, made, port, 50, "early")
    wait_until(lambda: early.logs().count(b"\n") == 50)
    collecting = collector_in(image, made, port)

    def kept() -> list[dict[str, Any]]:
        return [line for line in lines_of(collecting, "rest") if str(line["msg"]).startswith("early-")]

    # Also what the engine's own proxy took before the collector listened: the driver waits for an answer.
    wait_until(lambda: {line["msg"] for line in kept()} == {f"early-{number}" for number in range(50)})
    first = kept()[0]
    assert {key: first[key] for key in ("container", "role", "release", "stream")} == {
        "container": f"test-logs-early-{port}", "role": "web", "release": "r-1234567", "stream": "stdout",
    }  # fmt: skip

    stream = writer(image, made, port, 200, "stream", 0.02)
    wait_until(lambda: len(numbers_of(collecting)) >= 5)
    taken = numbers_of(collecting)
    collecting.kill("KILL")
    collecting.wait()
    ended_at = stream.logs().count(b"\n")
    wait_until(lambda: stream.logs().count(b"\n") >= min(ended_at + 10, 200))
    collecting.start()
    wait_until(lambda: 199 in numbers_of(collecting))
    got = numbers_of(collecting)
    assert taken <= got  # what it had taken is there still
    assert got == set(range(200))  # what was written while it was down came, too
    early.remove(force=True)
    made.remove(early)


def test_a_full_disk_ends_nothing(image: str, made: list[Container]) -> None:
    """What there was no space for is counted, and said when there is space again; all lines are whole."""
    (port,) = free_ports(1)
    options = {"tmpfs": {"/var/tmp": "size=600k,mode=1777"}}
    collecting = collector_in(image, made, port, "--megabytes", "100", **options)
    wait_until(lambda: is_listening(collecting))
    run = ContainerExec(str(collecting.name)).run
    assert run(["sh", "-c", "head -c 300000 /dev/zero > /var/tmp/fill"])[0] == 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for number in range(2000):
            line = {"msg": "Message failed", "level": "error", "number": number, "pad": os.urandom(500).hex()}
            connection.sendall(record(line))
        found = lines_of(collecting)
        numbers = [line["number"] for line in found]  # a few more fit after one that was too much
        assert numbers == sorted(set(numbers))
        assert 0 < len(found) < 300
        assert run(["rm", "/var/tmp/fill"])[0] == 0
        wait_until(lambda: any(line.get("dropped", 0) > 0 for line in lines_of(collecting, "rest")))
        connection.sendall(record({"msg": "after", "level": "error", "time": 1}))
        wait_until(lambda: lines_of(collecting)[-1]["msg"] == "after")
    collecting.reload()
    assert (collecting.status, collecting.attrs["RestartCount"]) == ("running", 0)
    memory_mb = collecting.stats(stream=False)["memory_stats"]["usage"] / 1e6
    assert memory_mb < 48
