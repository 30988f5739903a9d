"""Open loop: requests are due at fixed times, whether or not earlier ones are answered.

Latency counts from the time at which a request was due. One that finds every connection busy waits, and its
wait counts: a server that stalls for a second shows it in a second's worth of requests.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from benchmarks.connection import LOST, Connection
from benchmarks.tally import Tally

TICK_S = 0.001
"""The resolution of the event loop's timers: a request is sent up to one tick after it was due."""

LATE_S = 0.005
"""A request sent later than this after it was due is reported as late."""


class OpenLoop:
    """Sends *count* of *requests*, *rate* of them a second, over the connections opened on it."""

    def __init__(self, requests: Iterator[bytes], *, count: int, rate: float) -> None:
        self._requests = requests
        self._count = count
        self._rate = rate
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._planned = 0
        self._answers = 0
        self._ended = asyncio.Event()
        self.tally = Tally()
        self.late = 0
        self.worst_late_s = 0.0

    async def begin(self, port: int, connections: int) -> None:
        """Connect; the first request is due at once."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self._next), "127.0.0.1", port)
            self._idle.append(connection)
        self.tally = Tally()
        self._tick()

    async def end(self, timeout_s: float) -> None:
        """Wait until all are answered, or *timeout_s* is over; then end the connections."""
        async with asyncio.timeout(timeout_s):
            await self._ended.wait()
        for connection in self._idle:
            connection.close()

    def _tick(self) -> None:
        """Send what has become due."""
        due_by_now = int((time.perf_counter() - self.tally.began) * self._rate) + 1
        for number in range(self._planned, min(due_by_now, self._count)):
            self._due.append(self.tally.began + number / self._rate)
            self._planned += 1
        self._send_due()
        if self._planned < self._count:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _send_due(self) -> None:
        while self._due and self._idle:
            due = self._due.popleft()
            late_s = time.perf_counter() - due
            self.late += late_s > LATE_S
            self.worst_late_s = max(self.worst_late_s, late_s)
            self._idle.popleft().send(next(self._requests), due)

    def _next(self, connection: Connection, status: int) -> None:
        self.tally.add(status, time.perf_counter() - connection.sent_at)
        if status != LOST:
            self._idle.append(connection)
            self._send_due()
        self._answers += 1
        if self._answers == self._count:
            self._ended.set()
