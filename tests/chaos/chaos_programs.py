"""Programs under test: started bare, killed without warning, started again as a container engine would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).resolve().parent.parent.parent
RESTARTS_AFTER_S = 0.5
POLL_INTERVAL_S = 0.02


@dataclass
class Program:
    """One process group. `log`: the file that takes its output, over all its lives."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    lives: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _ended_at: float | None = None

    def start(self) -> None:
        """Start it in a process group of its own, so that its children die with it."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=CHECKOUT,
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.lives += 1
        self._ended_at = None

    @property
    def runs(self) -> bool:
        """Whether it is alive (perhaps not yet ready)."""
        return self._process is not None and self._process.poll() is None

    @property
    def memory_mb(self) -> float:
        """What it holds in memory, its children included."""
        return sum(process.memory_info().rss for process in self._family()) / 2**20

    def clients(self, port: int) -> int:
        """How many connections it holds that came to its *port*, half-closed ones included."""
        links = [link for process in self._family() for link in process.net_connections("tcp")]
        return sum(link.laddr.port == port and link.status != psutil.CONN_LISTEN for link in links)

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def send(self, number: signal.Signals) -> None:
        """Signal the whole group; nothing if it is dead already."""
        if self.runs and self._process is not None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it without warning."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def start_again_if_dead(self) -> None:
        """Start it if it has been dead for `RESTARTS_AFTER_S`."""
        if self.runs:
            return
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        if now - self._ended_at >= RESTARTS_AFTER_S:
            self.start()


async def keep_running(programs: Sequence[Program]) -> None:
    """Play the container engine for *programs* until cancelled."""
    while True:
        for program in programs:
            program.start_again_if_dead()
        await asyncio.sleep(POLL_INTERVAL_S)


def service(role: str, name: str, folder: Path, environment: Mapping[str, str]) -> Program:
    """`python -m service web|worker` with *environment*."""
    return Program(name, [sys.executable, "-m", "service", role], folder / f"{name}.log", environment)
