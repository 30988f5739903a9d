"""The provider as the engine starts it: a process that prints its port and ends when told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from provider_client import Client
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

_START_CPU_S = 1.5
"""Of its own processor time, whatever else the cores do: far above the 0.2 s that it takes."""
_END_S = 60


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """The provider's process."""
    command = [sys.executable, "-m", "infra.docker_provider", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line of output."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_port_is_the_first_line_and_serves(process: subprocess.Popen[str]) -> None:
    """The engine reads the port and asks at it."""
    with grpc.insecure_channel(f"127.0.0.1:{first_line(process)}") as channel:
        assert Client(ResourceProviderStub(channel)).call("GetPluginInfo") == {"version": "5.2.0"}


def test_start_is_quick(process: subprocess.Popen[str]) -> None:
    """Every `up` starts the provider twice: it must not cost what it does not use."""
    assert first_line(process).isdigit()
    taken = psutil.Process(process.pid).cpu_times()
    assert taken.user + taken.system < _START_CPU_S


def test_only_what_is_needed_is_imported() -> None:
    """A run that changes nothing pays neither for a Docker client nor for the SDK around the protocol."""
    code = (
        "import sys, infra.docker_provider.__main__ as m; m._leave_out_the_sdk(); "
        "import infra.docker_provider.server; "
        "print([name for name in ('docker', 'requests', 'pulumi.resource') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """An interrupt or a termination ends the process with success."""
    first_line(process)
    process.send_signal(number)
    assert process.wait(_END_S) == 0


def test_cancel_ends_it(process: subprocess.Popen[str]) -> None:
    """The engine's cancel is answered, and then the process ends."""
    with grpc.insecure_channel(f"127.0.0.1:{first_line(process)}") as channel:
        assert Client(ResourceProviderStub(channel)).call("Cancel") == {}
    assert process.wait(_END_S) == 0


def test_it_ends_with_the_process_that_started_it() -> None:
    """A killed engine leaves no provider behind."""
    code = (
        "import subprocess, sys; command = [sys.executable, '-m', 'infra.docker_provider']; "
        "p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True); "
        "print(p.pid, p.stdout.readline(), flush=True)"
    )
    pid = int(subprocess.check_output([sys.executable, "-c", code], text=True).split()[0])
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline and _is_alive(pid):
        time.sleep(0.1)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    # A process that has ended but was not yet waited for counts as gone.
    return stat.rpartition(")")[2].split()[0] != "Z"
