"""Clients that take their time: idle, or sending a head or a body byte by byte; from any address."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos_wire import head

from contracts.webhook import WEBHOOK_PATH

BYTE_EACH_S = 2.0
OPENED_AT_ONCE = 50

_HEAD = head(f"POST {WEBHOOK_PATH} HTTP/1.1", [("Host", "chaos"), ("Content-Length", "1000")])
BEGINNINGS = {"idle": b"", "heads": _HEAD[:20], "bodies": _HEAD}
"""What is sent at once; bytes follow one by one, but nothing from the idle."""


@dataclass
class SlowClients:
    """Connections to *port*. `ended`: how they ended, by status (0: closed without an answer)."""

    port: int
    ended: Counter[int] = field(default_factory=Counter)
    lasted_s: list[float] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def open(self) -> int:
        """How many the other side has not ended."""
        return len(self._tasks) - len(self.lasted_s)

    async def begin(self, count: int, kinds: Sequence[str], sources: Sequence[str]) -> None:
        """Open *count* more connections, of the *kinds* and from the *sources* by turns."""
        gate = asyncio.Semaphore(OPENED_AT_ONCE)
        opened = [asyncio.Event() for _ in range(count)]
        turns = zip(opened, itertools.cycle(kinds), itertools.cycle(sources), strict=False)
        for event, kind, source in turns:
            self._tasks.append(asyncio.create_task(self._one(gate, event, kind, source)))
        await asyncio.gather(*(event.wait() for event in opened))

    async def end(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, gate: asyncio.Semaphore, opened: asyncio.Event, kind: str, source: str) -> None:
        began, answer = time.monotonic(), b""
        try:
            async with gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
                writer.write(BEGINNINGS[kind])
                opened.set()
            trickle = asyncio.create_task(_trickle(writer, silent=kind == "idle"))
            try:
                answer = await reader.read(64)
            finally:
                trickle.cancel()
                writer.close()
        except OSError:
            opened.set()
        self.ended[int(answer[9:12] or b"0")] += 1
        self.lasted_s.append(time.monotonic() - began)


async def _trickle(writer: asyncio.StreamWriter, *, silent: bool) -> None:
    while True:
        await asyncio.sleep(BYTE_EACH_S)
        if not silent:
            writer.write(b"x")
