"""Closed loop: each connection sends its next request when the last one is answered. It finds the most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from benchmarks.connection import LOST, Connection
from benchmarks.tally import Tally


class ClosedLoop:
    """Sends *requests* over all connections opened on it, until they are used up or it is told to stop."""

    def __init__(self, requests: Iterator[bytes], tell: Callable[[int], None] = lambda _: None) -> None:
        """*tell* is called after each answer with how many there were."""
        self._requests = requests
        self._tell = tell
        self._open: set[Connection] = set()
        self._stopping = False
        self._ended = asyncio.Event()
        self._answered = 0
        self.tally = Tally()

    async def begin(self, port: int, connections: int) -> None:
        """Connect, then send over all connections at once."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self._next), "127.0.0.1", port)
            self._open.add(connection)
        self.tally = Tally()
        for connection in list(self._open):
            self._send(connection)

    async def end(self, timeout_s: float) -> None:
        """Wait until the requests are used up and answered, or *timeout_s* is over."""
        async with asyncio.timeout(timeout_s):
            await self._ended.wait()

    async def stop(self, timeout_s: float) -> None:
        """Send nothing more, and wait for the answers to what was sent."""
        self._stopping = True
        await self.end(timeout_s)

    def _next(self, connection: Connection, status: int) -> None:
        self.tally.add(status, time.perf_counter() - connection.sent_at)
        self._answered += 1
        self._tell(self._answered)
        if status == LOST:
            self._forget(connection)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        request = None if self._stopping else next(self._requests, None)
        if request is None:
            connection.close()
            self._forget(connection)
        else:
            connection.send(request, time.perf_counter())

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._ended.set()
