"""Whether Redis has room for more messages: webhooks are refused well before it is full.

What is refused stays with the sender, who asks again; nothing that was taken is ever dropped to make room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.storage.memory import read_memory
from service.storage.store import Store, StoreError

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
            self._short = (await read_memory(self._store)).is_short
        except StoreError:
            self._short = False  # whoever tries to write will be told
