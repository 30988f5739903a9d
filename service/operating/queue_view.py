"""How a lane stands: what waits, what is worked on and by whom, what was given up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from service.lanes import GROUP, LIVE, Lane, LaneName, gate_lane
from service.storage.memory import MemoryView, view_memory
from service.storage.progress import read_progress
from service.storage.store import Store, fields_of


@dataclass(frozen=True)
class Consumer:
    """A worker process that is known to the lane. `idle_ms`: since it last asked for messages."""

    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True)
class LaneView:
    """One lane. `release` is set for a gate lane, whose it is.

    `depth` = `waiting` (no worker has read it) + `in_work` (read, and not done: perhaps waiting for its turn
    or its next attempt). `oldest_age_ms`: of the oldest of these since its webhook came, None where there is
    none. `dead`: given up; `unknown`: perhaps sent; `unsettled`: ended, and the database has yet to be told.
    `last_delivered_id`, `oldest_waiting_ms`: see `Progress`.
    """

    lane: LaneName
    release: str | None
    depth: int
    waiting: int
    in_work: int
    oldest_age_ms: int | None
    dead: int
    unknown: int
    unsettled: int
    consumers: list[Consumer]
    last_delivered_id: str | None = None
    oldest_waiting_ms: int | None = None


@dataclass(frozen=True)
class QueueView:
    """All lanes of a service. `live_release`: whose workers take live messages; None where nobody says."""

    time: int
    live_release: str | None
    lanes: list[LaneView]
    memory: MemoryView


async def view_queue(store: Store, releases: list[str], live_release: str | None) -> QueueView:
    """The live lane, and the gate lanes of *releases* that hold anything. Raises what the store raises."""
    now_ms = time.time_ns() // 1_000_000
    gates = [view_lane(store, gate_lane(release), now_ms, release) for release in releases]
    memory, live, others = await asyncio.gather(
        view_memory(store, LIVE), view_lane(store, LIVE, now_ms), asyncio.gather(*gates)
    )
    held = [gate for gate in others if gate.depth or gate.dead or gate.unknown]
    return QueueView(now_ms, live_release, [live, *held], memory)


async def view_lane(store: Store, lane: Lane, now_ms: int, release: str | None = None) -> LaneView:
    """How *lane* stands at *now_ms*."""
    depth, dead, unknown, unsettled, oldest, progress = await asyncio.gather(
        *(store.call("XLEN", key) for key in (lane.stream, lane.dead, lane.unknown, lane.unsettled)),
        store.call("XRANGE", lane.stream, "-", "+", "COUNT", 1),
        read_progress(store, lane),
    )
    is_opened = progress.last_delivered_id is not None
    return LaneView(
        lane=lane.name,
        release=release,
        depth=depth,
        waiting=max(0, depth - progress.in_work),
        in_work=progress.in_work,
        oldest_age_ms=max(0, now_ms - _received_ms(*oldest[0])) if oldest else None,
        dead=dead,
        unknown=unknown,
        unsettled=unsettled,
        consumers=await _consumers(store, lane) if is_opened else [],
        last_delivered_id=progress.last_delivered_id,
        oldest_waiting_ms=progress.oldest_waiting_ms,
    )


async def _consumers(store: Store, lane: Lane) -> list[Consumer]:
    """Those that hold most first."""
    consumers = [
        Consumer(found[b"name"].decode(), found[b"pending"], found[b"idle"])
        for found in map(fields_of, await store.call("XINFO", "CONSUMERS", lane.stream, GROUP))
    ]
    return sorted(consumers, key=lambda consumer: (-consumer.pending, consumer.name))


def _received_ms(entry_id: bytes, parts: list[bytes]) -> int:
    """When an entry's webhook came; one put there by hand may not say, but its id does."""
    received = fields_of(parts).get(b"received", b"")
    return int(received) if received.isdigit() else int(entry_id.partition(b"-")[0])
