"""When something was last heard of, by name, for all processes together: in a sorted set, by time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from service.storage.store import Store, StoreError, fields_of

NOTE_EVERY_MS = 10_000
"""How exact the times are."""


def times_of(reply: Sequence[Any]) -> dict[str, int]:
    """A reply that has names and times by turns."""
    return {name.decode(errors="replace"): int(seen) for name, seen in fields_of(reply).items()}


class LastSeen:
    """Names and when each was last seen. Beyond *most*, those seen longest ago are forgotten."""

    def __init__(self, store: Store, key: str, *, most: int) -> None:
        self._store = store
        self._key = key
        self._most = most
        self._noted: dict[str, int] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def note(self, name: str, now_ms: int) -> None:
        """*name* was seen now: at most one write for each name in `NOTE_EVERY_MS`, which may fail."""
        if now_ms - self._noted.get(name, 0) < NOTE_EVERY_MS:
            return
        if len(self._noted) >= self._most:
            self._noted.clear()
        self._noted[name] = now_ms
        write = asyncio.create_task(self._write(name, now_ms))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def _write(self, name: str, now_ms: int) -> None:
        # Whoever waits for the message behind it does not wait for this: without Redis there is none anyway.
        with contextlib.suppress(StoreError):
            await asyncio.gather(
                self._store.call("ZADD", self._key, "GT", now_ms, name),
                self._store.call("ZREMRANGEBYRANK", self._key, 0, -self._most - 1),
            )

    async def not_since(self, since_ms: int) -> dict[str, int]:
        """The names last seen at *since_ms* or before, and when. Raises what the store raises."""
        return times_of(await self._store.call("ZRANGEBYSCORE", self._key, "-inf", since_ms, "WITHSCORES"))

    async def when(self, name: str) -> int | None:
        """When *name* was last seen."""
        seen = await self._store.call("ZSCORE", self._key, name)
        return None if seen is None else int(seen)

    async def count_since(self, since_ms: int) -> int:
        """How many were seen after *since_ms*."""
        return int(await self._store.call("ZCOUNT", self._key, f"({since_ms}", "+inf"))

    async def forget(self, name: str) -> None:
        """As if *name* had never been seen."""
        await self._store.call("ZREM", self._key, name)
