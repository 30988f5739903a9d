"""A keep-alive connection of the generator: as little work as a request can cost in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from benchmarks.wire import length_of

LOST = 0
"""Stands for the status of an answer that never came, because the connection ended."""


class Connection(asyncio.Protocol):
    """Has one request in flight at a time; `answered` is told each answer's status, or `LOST`."""

    def __init__(self, answered: Callable[[Connection, int], None]) -> None:
        self._answered = answered
        self._partial = b""
        self.closing = False
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, at: float) -> None:
        """Send *request*; *at* is kept as its time until it is answered."""
        self.sent_at = at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Hand on the status once the answer is whole."""
        if self._partial:
            data = self._partial + data
        if length_of(data) is None:
            self._partial = data
            return
        self._partial = b""
        self._answered(self, int(data[9:12]))

    def connection_lost(self, _error: Exception | None) -> None:
        """A connection that we did not close is a lost answer."""
        if not self.closing:
            self.closing = True
            self._answered(self, LOST)

    def close(self) -> None:
        """End it from our side."""
        self.closing = True
        self._transport.close()
