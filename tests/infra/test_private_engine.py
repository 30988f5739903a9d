"""The engine that other tests kill: what it promises them, and that the machine's own is not touched."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from private_engine import PrivateEngine, remove_abandoned_engines

from infra.base_images import Mode, Role, ensure, resolve
from infra.containers import ContainerExec

pytestmark = pytest.mark.integration

SERVED = "http://127.0.0.1:9999/"


@pytest.fixture(scope="module")
def image() -> str:
    """Python's image, in the machine's engine."""
    python = resolve(Role.PYTHON, Mode.AUTO)
    ensure(python, print)
    return python.name


@pytest.fixture(scope="module")
def engine(image: str) -> Iterator[PrivateEngine]:
    """An engine with a container that serves HTTP and is to run unless it is stopped."""
    with PrivateEngine(disk_mb=1500) as engine:
        engine.load(image)
        engine.client.containers.run(
            image,
            ["python3", "-m", "http.server", "9999"],
            name="served",
            init=True,
            detach=True,
            ports={"9999/tcp": ("127.0.0.1", 9999)},
            restart_policy={"Name": "unless-stopped"},
        )
        yield engine


def status_of(url: str, within_s: float = 240) -> int:
    """Of the first answer."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return int(answer.status)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_containers_come_back_after_a_power_cut_and_after_a_restart(engine: PrivateEngine) -> None:
    """Twice each: nothing of the engine runs in between, and the container's port answers afterwards."""
    with engine.inside():
        assert status_of(SERVED) == 200
        for _ in range(2):
            engine.kill()
            with pytest.raises(OSError, match="refused"):
                urllib.request.urlopen(SERVED, timeout=2)
            engine.start()
            assert status_of(SERVED) == 200
            engine.restart()
            assert status_of(SERVED) == 200


def test_what_is_inside_is_not_outside(engine: PrivateEngine) -> None:
    """Its containers and ports are its own; a command that is run inside sees them, and the engine as its."""
    listed = ["docker", "ps", "--format", "{{.Names}}"]
    assert engine.run(listed).stdout.split() == ["served"]
    assert "served" not in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    fetched = engine.run([sys.executable, "-c", f"import urllib.request as u; u.urlopen({SERVED!r})"])
    assert fetched.returncode == 0, fetched.stderr
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(SERVED, timeout=2)
    assert docker.from_env().info()["ID"] != engine.client.info()["ID"]


def test_its_disk_can_be_full(engine: PrivateEngine, image: str) -> None:
    """For what runs on it and writes, until there is room again."""
    writer = engine.client.containers.run(
        image, ["sleep", "300"], volumes={"full": {"bind": "/data"}}, detach=True
    )
    commands = ContainerExec(writer.name or "", engine=engine.client)
    write = ["sh", "-c", "dd if=/dev/zero of=/data/x bs=64k count=1"]
    assert commands.run(write)[0] == 0
    engine.fill_disk()
    try:
        code, output = commands.run(["sh", "-c", "rm -f /data/y; dd if=/dev/zero of=/data/y bs=64k count=1"])
    finally:
        engine.empty_disk()
    assert code == 1
    assert "No space left on device" in output
    assert commands.run(write)[0] == 0
    writer.remove(force=True)


KILLED = """
import os, signal
from private_engine import PrivateEngine
engine = PrivateEngine()
engine.start()
print(engine.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed() -> None:
    """Processes, namespace, folder and control groups."""
    path = f"{Path(__file__).parent.parent / 'support'}:{Path(__file__).parent.parent.parent}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        env={"PYTHONPATH": path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    name = done.stdout.strip()
    assert done.returncode == -9, done.stderr
    assert Path("/run/netns", name).exists()
    remove_abandoned_engines()
    assert not Path("/run/netns", name).exists()
    assert not Path("/tmp", name).exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{name}")) == []
    commands = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True)
    assert name not in commands.stdout
