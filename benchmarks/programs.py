"""Programs that a benchmark starts: watched while they come up, and ended with it, however it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.cores import placed
from benchmarks.errors import BenchError

REPOSITORY = Path(__file__).resolve().parent.parent
START_S = 120.0
"""No limit for what starts, on a slow machine that others use too: who ended is found at once."""
END_S = 10.0
_POLL_INTERVAL_S = 0.05
_LAST_BYTES = 2_000


@dataclass(frozen=True)
class Program:
    """A running program, its port and the file that takes its output."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def cpu_s(self) -> float:
        """The processor time that it has used, with its children, those that have ended too."""
        process = psutil.Process(self.pid)
        return sum(sum(each.cpu_times()[:4]) for each in [process, *process.children(recursive=True)])

    def wait_until(self, ready: Callable[[int], bool]) -> None:
        """Wait until *ready*, asked with the port, says so.

        Raises:
            BenchError: the program ended, or did not get ready in time; with the last of its output.
        """
        deadline = time.monotonic() + START_S
        while not ready(self.port):
            if self.process.poll() is not None:
                raise BenchError(
                    f"{self.name} ended with exit code {self.process.returncode}", self.last_words()
                )
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} was not ready within {START_S:g} s", self.last_words())
            time.sleep(_POLL_INTERVAL_S)

    def last_words(self) -> str:
        """The end of its output."""
        said = self.log.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip()
        return f"it said: {said}" if said else "it said nothing"


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    port: int,
    env: Mapping[str, str] | None = None,
    alone: bool = False,
) -> Iterator[Program]:
    """Run *command* for the block's length, with *env* and nothing of ours that could be a setting.

    *alone*: on the core that is kept for what is measured.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output, placed(alone=alone):
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**_plain_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
        )
    try:
        yield Program(name, process, port, log)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Have *process* end: asked first, then not asked."""
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
    finally:  # also when we are interrupted once more
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    """Whether somebody takes connections on *port* of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def python(*arguments: str) -> list[str]:
    """The command that runs a module with our own interpreter."""
    return [sys.executable, "-m", *arguments]


def _plain_environment() -> dict[str, str]:
    """What of our environment is no setting of the service's."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
