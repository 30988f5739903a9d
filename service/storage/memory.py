"""Redis's memory: how full it is, what stays in it of each message, how many messages a second it bears.

A Redis without room could not even note that a message is done: webhooks are refused well before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service.lanes import Lane
from service.storage.known import PARTS, PERIODS, known_period_s
from service.storage.store import Script, Store, StoreRefused

FULL_AT = 0.9
"""The share of Redis's `maxmemory` above which no message is taken."""

COMPACT_BYTES = 25
LARGE_BYTES = 85
"""Of Redis's memory for each message known, while its hash is small and when it is not; measured."""

COMPACT_LENGTH = 470
"""Messages in a hash, on average, with which hardly one has more than the 512 that Redis keeps compact.

A stack's Redis keeps 1024 so, and bears more than is said where it has that much room.
"""

SLOT_BYTES = 64
"""Of Redis's memory for each key, beside what MEMORY USAGE tells."""

LOOKED_AT = 128
"""Parts of the known messages that are looked at: their sizes are alike."""

_KEPT = Script.load("kept", "known")


@dataclass(frozen=True)
class Memory:
    """How full Redis is. `max_bytes`: None where nothing bounds it."""

    used_bytes: int
    max_bytes: int | None

    @property
    def is_short(self) -> bool:
        """Whether so little is left that messages are refused."""
        return self.max_bytes is not None and self.used_bytes > self.max_bytes * FULL_AT


@dataclass(frozen=True)
class MemoryView:
    """What an operator should know. `bytes_per_message`: None while no message is known.

    `sustained_per_s`: messages a second that Redis bears for ever, with what else it holds now; None where
    nothing bounds it.
    """

    used_bytes: int
    max_bytes: int | None
    known_messages: int
    bytes_per_message: float | None
    sustained_per_s: float | None


async def read_memory(store: Store) -> Memory:
    """How full Redis is now. Raises what the store raises."""
    lines = (await store.call("INFO", "memory")).splitlines()
    figures = dict(line.split(b":", 1) for line in lines if b":" in line)
    return Memory(int(figures.get(b"used_memory", b"0")), int(figures.get(b"maxmemory", b"0")) or None)


async def view_memory(store: Store, lane: Lane) -> MemoryView:
    """The same with what is kept of *lane*'s messages. Raises what the store raises."""
    memory, (messages, hashes, sampled_bytes) = await asyncio.gather(
        read_memory(store), _look_at_known(store, lane)
    )
    share = PARTS / LOOKED_AT
    known_bytes = round((sampled_bytes + hashes * SLOT_BYTES) * share)
    known = round(messages * share)
    return MemoryView(
        used_bytes=memory.used_bytes,
        max_bytes=memory.max_bytes,
        known_messages=known,
        bytes_per_message=round(known_bytes / known, 1) if known else None,
        sustained_per_s=None
        if memory.max_bytes is None
        else _sustained_per_s(
            memory.max_bytes * FULL_AT - memory.used_bytes + known_bytes,
            known_period_s(lane.lane_ttl_s),
        ),
    )


async def _look_at_known(store: Store, lane: Lane) -> list[int]:
    try:
        found: list[int] = await store.run(_KEPT, [lane.known], [known_period_s(lane.lane_ttl_s), LOOKED_AT])
    except StoreRefused:  # not every Redis tells the size of a key
        return [0, 0, 0]
    return found


def _sustained_per_s(room_bytes: float, period_s: int) -> float:
    """Messages a second that fill *room_bytes* in the time for which they are remembered at most."""
    remembered_s = (PERIODS + 1) * period_s
    compact = room_bytes / COMPACT_BYTES / remembered_s
    most_compact = COMPACT_LENGTH * PARTS / period_s
    if compact > most_compact:
        compact = max(most_compact, room_bytes / LARGE_BYTES / remembered_s)
    return round(max(0.0, compact), 1)
