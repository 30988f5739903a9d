"""How far the workers have come on a lane's stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service.lanes import GROUP, Lane
from service.storage.store import Store, fields_of


@dataclass(frozen=True)
class Progress:
    """`last_delivered_id`: of the last entry that a worker has read; None before one has opened the lane.

    `oldest_waiting_ms`: when the oldest entry that none has read was added, in ms since 1970; None where none
    waits. `in_work`: entries that were read and are not done. `silent_ms`: for how long no worker has got or
    renewed any, though some are in work; else 0.
    """

    last_delivered_id: str | None
    oldest_waiting_ms: int | None
    in_work: int
    silent_ms: int = 0


async def read_progress(store: Store, lane: Lane) -> Progress:
    """Raises what the store raises."""
    if not await store.call("EXISTS", lane.stream):  # of which Redis tells no groups
        return Progress(None, None, 0)
    groups, entries = await asyncio.gather(
        store.call("XINFO", "GROUPS", lane.stream), store.call("XRANGE", lane.stream, "-", "+", "COUNT", 1)
    )
    ours = next((group for group in map(fields_of, groups) if group[b"name"] == GROUP.encode()), None)
    if ours is not None:
        after = b"(" + ours[b"last-delivered-id"]
        entries = await store.call("XRANGE", lane.stream, after, "+", "COUNT", 1)
    in_work: int = 0 if ours is None else ours[b"pending"]
    consumers = await store.call("XINFO", "CONSUMERS", lane.stream, GROUP) if in_work else []
    return Progress(
        last_delivered_id=None if ours is None else ours[b"last-delivered-id"].decode(),
        oldest_waiting_ms=int(entries[0][0].partition(b"-")[0]) if entries else None,
        in_work=in_work,
        silent_ms=min((consumer[b"idle"] for consumer in map(fields_of, consumers)), default=0),
    )
