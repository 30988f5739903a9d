"""Whether Redis has room for more messages: webhooks are refused well before it is full.

A Redis without room could not even note that a message is done. What is refused stays with the sender, who
asks again; nothing that was taken is ever dropped to make room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.storage.store import Store, StoreError

FULL_AT = 0.9
"""The share of Redis's `maxmemory` above which no message is taken."""

LOOK_EVERY_S = 1.0


class Headroom:
    """The memory of one Redis, looked at once a second while messages come."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._next_look = 0.0
        self._short = False
        self._looking: asyncio.Task[None] | None = None

    def is_short(self) -> bool:
        """Whether so little was left, about a second ago, that messages should be refused."""
        if self._clock() >= self._next_look and (self._looking is None or self._looking.done()):
            self._next_look = self._clock() + LOOK_EVERY_S
            self._looking = asyncio.create_task(self._look())  # nobody waits for it
        return self._short

    async def _look(self) -> None:
        try:
            self._short = _is_short(await self._store.call("INFO", "memory"))
        except StoreError:
            self._short = False  # whoever tries to write will be told


def _is_short(info: bytes) -> bool:
    figures = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    limit = int(figures.get(b"maxmemory", b"0"))
    return limit > 0 and int(figures.get(b"used_memory", b"0")) > limit * FULL_AT
