"""A Docker engine of a test's own: it may be killed, restarted and filled without touching the machine's.

Its processes are in a network, mount and process namespace of their own: ports are its own, one SIGKILL ends
all of it (containers too), and what it had mounted goes with it. Needs root, as the machine's engine does.

    engine = PrivateEngine()
    engine.start()                       # at first, and after a kill
    engine.load("runbook/redis:…")       # from the machine's engine, by `docker save` and `docker load`
    engine.run(["bin/runbook", "up"])    # a command that takes this engine and its loopback for the machine's
    with engine.inside(): ...            # the same for the code of a block, and the threads that it starts
    engine.client.containers.list()
    engine.kill()                        # the machine's power is cut
    engine.restart()                     # as `systemctl restart docker`
    engine.fill_disk(), engine.empty_disk()     # of an engine that has one (`disk_mb`)
    engine.close()
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import docker
import psutil
import requests
from debian_programs import need
from docker.errors import DockerException

from infra.file_lock import held

_PREFIX = "runbook-engine-"
_FOLDER = Path(tempfile.gettempdir())
_NAMESPACES = Path("/run/netns")
_CGROUPS = Path("/sys/fs/cgroup")
_STARTS_WITHIN_S = 240
_ENDS_WITHIN_S = 240
_POLL_INTERVAL_S = 0.05
_CLONE_NEWNET = 0x40000000
GATEWAY = "172.31.240.1"
"""The address at which containers of any network reach what listens in the engine's network namespace."""

_START = """
set -e
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd    # shims keep their sockets there, whatever --exec-root says
mkdir -p /etc/docker
mount --bind "$1/etc" /etc/docker       # the key that makes an engine's id; none of the machine's settings
if [ -n "$2" ]; then mount -o loop "$2" "$1/data"; fi
shift 2
exec tini -- dockerd "$@"
"""

_numbers = itertools.count(1)


class PrivateEngine:
    """One engine; `disk_mb`: all that it keeps lies on a disk (ext4) of that size."""

    def __init__(self, disk_mb: int | None = None) -> None:
        need("tini")
        remove_abandoned_engines()
        self.name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        self.folder = _FOLDER / self.name
        for part in ("data", "etc"):
            (self.folder / part).mkdir(parents=True)
        self._disk = self._make_disk(disk_mb) if disk_mb else ""
        self._process: subprocess.Popen[bytes] | None = None
        self._client: docker.DockerClient | None = None
        _sh("ip", "netns", "add", self.name)
        _sh("ip", "-n", self.name, "link", "set", "lo", "up")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def host(self) -> str:
        """What DOCKER_HOST is for this engine."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def client(self) -> docker.DockerClient:
        """The SDK's client of it, from the first start on."""
        if self._client is None:
            self._client = docker.DockerClient(self.host, version="auto", timeout=120)
        return self._client

    def start(self) -> None:
        """Start it; returns when it answers. Containers with a restart policy come back by themselves."""
        (self.folder / "pid").unlink(missing_ok=True)  # dockerd does not start over a dead one's
        arguments = {
            "--data-root": f"{self.folder}/data",
            "--exec-root": f"{self.folder}/exec",
            "--host": self.host,
            "--pidfile": f"{self.folder}/pid",
            "--bip": f"{GATEWAY}/24",
            "--cgroup-parent": f"/{self.name}",
        }
        dockerd = [f"{name}={value}" for name, value in arguments.items()]
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        start = ["sh", "-c", _START, "sh", str(self.folder), self._disk, *dockerd]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_enter(self.name), *own, *start],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        (self.folder / "top").write_text(str(self._process.pid))
        self._wait_until_up()

    def kill(self) -> None:
        """End everything of it at once, as when the machine's power is cut; what it had stored stays."""
        if self._process is not None:
            self._process.kill()  # `--kill-child` and the process namespace take all others along
            self._process.wait()
            self._process = None
        _wait_for(lambda: not _processes_in(self.name), "the processes of the engine end")
        _forget_boot(self.name, self.folder)

    def restart(self) -> None:
        """Stop it in order, its containers too, and start it again."""
        assert self._process is not None, "it does not run"
        self._dockerd().send_signal(signal.SIGTERM)
        self._process.wait(_ENDS_WITHIN_S)
        self.start()

    def close(self) -> None:
        """End it and remove all that it had."""
        self.kill()
        if self._client is not None:
            self._client.close()
        _remove(self.name)

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run *command* to its end, with this engine as the machine's; *options* as of `subprocess.run`."""
        with self.inside():
            return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """For the block, and the threads and processes that it starts, this is the machine's engine.

        Their connections are made in its network namespace; DOCKER_HOST names it.
        """
        before = os.environ.get("DOCKER_HOST")
        with Path("/proc/thread-self/ns/net").open() as outside:
            with (_NAMESPACES / self.name).open() as namespace:
                _set_network(namespace.fileno())
            os.environ["DOCKER_HOST"] = self.host
            try:
                yield
            finally:
                _set_network(outside.fileno())
                del os.environ["DOCKER_HOST"]
                if before is not None:
                    os.environ["DOCKER_HOST"] = before

    def load(self, *images: str) -> None:
        """Give it *images* (names) of the machine's engine, as they are there; not from `inside`."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "--host", self.host, "load", "--quiet"],
                stdin=save.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        assert save.returncode == 0, f"docker save {images} ended with {save.returncode}"

    def fill_disk(self) -> None:
        """Leave no byte free on the disk that all of it lies on, as somebody else's file would."""
        with self._ballast().open("wb", buffering=0) as ballast:
            disk = os.statvfs(ballast.fileno())
            os.posix_fallocate(ballast.fileno(), 0, max(1, (disk.f_bavail - 16) * disk.f_frsize))
            ballast.seek(0, os.SEEK_END)
            with suppress(OSError):
                while ballast.write(b"x" * 4096):
                    continue

    def empty_disk(self) -> None:
        """Give back what was filled."""
        self._ballast().unlink()

    def _ballast(self) -> Path:
        """As seen from the mount namespace of the engine, which alone has the disk."""
        assert self._disk, "it has no disk of its own"
        return Path(f"/proc/{self._dockerd().pid}/root{self.folder}/data/ballast")

    def _dockerd(self) -> psutil.Process:
        for each in _processes_in(self.name):
            with suppress(psutil.NoSuchProcess):  # a command in a container, that has just ended
                if each.name() == "dockerd":
                    return each
        raise AssertionError(f"{self.name} has no dockerd")

    def log(self) -> str:
        """What the daemon has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    def _make_disk(self, megabytes: int) -> str:
        disk = self.folder / "disk"
        with disk.open("wb") as file:
            file.truncate(megabytes * 2**20)
        _sh("mkfs.ext4", "-q", "-m", "0", str(disk))
        return str(disk)

    def _wait_until_up(self) -> None:
        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"dockerd ended:\n{self.log()[-2000:]}"
            with suppress(DockerException, requests.RequestException):
                return bool(self.client.ping())
            return False

        _wait_for(answers, "the engine answers")


def remove_abandoned_engines() -> None:
    """End and remove the engines of test runs that are gone, killed ones above all."""
    with held(_FOLDER / f"{_PREFIX}abandoned.lock"):
        for folder in _FOLDER.glob(f"{_PREFIX}*-*"):
            owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                for process in _processes_in(folder.name):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                _wait_for(lambda name=folder.name: not _processes_in(name), f"{folder.name} ends")
                _remove(folder.name)


def _remove(name: str) -> None:
    """Remove what the engine *name*, which has ended, leaves."""
    _forget_boot(name, _FOLDER / name)
    if (_NAMESPACES / name).exists():
        _sh("ip", "netns", "del", name)
    shutil.rmtree(_FOLDER / name)


def _forget_boot(name: str, folder: Path) -> None:
    """Remove what a machine that is switched off does not have: cgroups, bridges, rules, sockets."""
    for group in sorted(_CGROUPS.glob(f"*/{name}/**/"), reverse=True):
        group.rmdir()
    shutil.rmtree(folder / "exec", ignore_errors=True)
    if not (_NAMESPACES / name).exists():
        return
    for link in _links(name):
        # Those of its containers go by themselves, when the kernel comes to it.
        subprocess.run(["ip", "-n", name, "link", "del", link], capture_output=True, check=False)
    _wait_for(lambda: not _links(name), "its links are gone")
    for table in ("nat", "filter"):
        _sh(*_enter(name), "iptables", "-w", "-t", table, "-F")
        _sh(*_enter(name), "iptables", "-w", "-t", table, "-X")


def _links(name: str) -> list[str]:
    listed = subprocess.run(["ip", "-n", name, "-o", "link"], capture_output=True, text=True, check=True)
    names = [line.split(": ")[1].partition("@")[0] for line in listed.stdout.splitlines()]
    return [link for link in names if link != "lo"]


def _processes_in(name: str) -> list[psutil.Process]:
    """The processes whose first ancestor is the one that was started for the engine *name*."""
    mark = f"--cgroup-parent=/{name}"
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if mark in process.cmdline() or f"/{name}/" in Path(f"/proc/{process.pid}/cgroup").read_text():
                found.append(process)
    return found


def _enter(name: str) -> list[str]:
    return ["nsenter", f"--net={_NAMESPACES / name}"]


def _set_network(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "the thread cannot enter the engine's network namespace")


def _wait_for(reached: Any, what: str) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not reached():
        assert time.monotonic() < deadline, f"not within {_STARTS_WITHIN_S} s: {what}"
        time.sleep(_POLL_INTERVAL_S)


def _sh(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
