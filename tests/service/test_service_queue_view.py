"""How a lane is told to stand, on a real Redis and with real workers' reads."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from operator_kit import give_up, open_redis

from service.lanes import GROUP, LIVE, Lane, LaneName, gate_lane
from service.messages.inbox import Inbox, RetryPolicy
from service.operating.queue_view import LaneView, view_lane, view_queue
from service.storage.store import Store

pytestmark = pytest.mark.integration

NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    async with open_redis(redis_url) as store:
        yield store


async def enqueue(store: Store, count: int, lane: Lane = LIVE, received_ms: int | str = NOW_MS) -> None:
    """Put *count* messages on the lane's stream."""
    for _ in range(count):
        await store.call("XADD", lane.stream, "*", "event", "{}", "received", received_ms, "chat", "c")


async def work_on(store: Store, worker: str, count: int, lane: Lane = LIVE) -> None:
    """Have a worker read so many."""
    inbox = Inbox(store, worker, lease_s=30, retry=RetryPolicy(1, 1))
    await inbox.open(lane)
    await inbox.read([lane], count=count, block_ms=1)


async def test_an_empty_service_stands_at_nothing(store: Store) -> None:
    """Before the first message and the first worker there is neither a stream nor a group."""
    view = await view_queue(store, ["r-1"], None)
    empty = LaneView(LaneName.LIVE, None, 0, 0, 0, None, 0, 0, 0, [])
    assert (view.live_release, view.lanes) == (None, [empty])
    assert view.memory.used_bytes > 0
    assert (view.memory.max_bytes, view.memory.bytes_per_message) == (None, None)


async def test_messages_wait_until_a_worker_has_read_them(store: Store) -> None:
    """What is waiting and what is in work make up the depth."""
    await enqueue(store, 5)
    waiting = await view_lane(store, LIVE, NOW_MS)
    assert (waiting.depth, waiting.waiting, waiting.in_work, waiting.consumers) == (5, 5, 0, [])
    await work_on(store, "a", 2)
    await work_on(store, "b", 1)
    view = await view_lane(store, LIVE, NOW_MS)
    assert (view.depth, view.waiting, view.in_work) == (5, 2, 3)
    assert [(consumer.name, consumer.pending) for consumer in view.consumers] == [("a", 2), ("b", 1)]
    assert all(0 <= consumer.idle_ms < 5000 for consumer in view.consumers)


async def test_how_far_the_workers_have_come_is_told(store: Store) -> None:
    """The last entry that one has read, and since when the first that none has read waits."""
    for number in (1000, 2000):
        await store.call("XADD", LIVE.stream, f"{number}-0", "event", "{}", "chat", "c")
    waiting = await view_lane(store, LIVE, NOW_MS)
    assert (waiting.last_delivered_id, waiting.oldest_waiting_ms) == (None, 1000)
    await work_on(store, "a", 1)
    view = await view_lane(store, LIVE, NOW_MS)
    assert (view.last_delivered_id, view.oldest_waiting_ms) == ("1000-0", 2000)
    await work_on(store, "a", 1)
    view = await view_lane(store, LIVE, NOW_MS)
    assert (view.last_delivered_id, view.oldest_waiting_ms) == ("2000-0", None)


async def test_the_age_is_that_of_the_oldest_since_its_webhook(store: Store) -> None:
    """Not since it was put on the stream: a replayed one is as old as it is."""
    await enqueue(store, 1, received_ms=NOW_MS - 90_000)
    await enqueue(store, 1)
    assert (await view_lane(store, LIVE, NOW_MS)).oldest_age_ms == 90_000


async def test_an_entry_put_there_by_hand_has_the_age_of_its_id(store: Store) -> None:
    """It may lack the field, or hold nonsense there."""
    await store.call("XADD", LIVE.stream, f"{NOW_MS - 5000}-0", "received", "yesterday")
    assert (await view_lane(store, LIVE, NOW_MS)).oldest_age_ms == 5000


async def test_what_was_given_up_is_counted(store: Store) -> None:
    """Dead letters, unknown outcomes, and what the database has yet to be told."""
    await give_up(store, LIVE.dead, "a", "b", "c")
    await give_up(store, LIVE.unknown, "a", "b")
    await give_up(store, LIVE.unsettled, "a")
    view = await view_lane(store, LIVE, NOW_MS)
    assert (view.dead, view.unknown, view.unsettled) == (3, 2, 1)


async def test_another_group_on_the_stream_is_not_ours(store: Store) -> None:
    """An operator may look with one of their own."""
    await enqueue(store, 2)
    await store.call("XGROUP", "CREATE", LIVE.stream, "somebody", "0")
    await store.call("XREADGROUP", "GROUP", "somebody", "x", "STREAMS", LIVE.stream, ">")
    view = await view_lane(store, LIVE, NOW_MS)
    assert (view.waiting, view.in_work, view.consumers) == (2, 0, [])
    await store.call("XGROUP", "CREATE", LIVE.stream, GROUP, "0")
    assert (await view_lane(store, LIVE, NOW_MS)).waiting == 2


async def test_gate_lanes_are_told_of_where_they_hold_something(store: Store) -> None:
    """Each by its release; and whose workers are live."""
    await enqueue(store, 1, gate_lane("r-2"))
    await give_up(store, gate_lane("r-3").dead, "a")
    view = await view_queue(store, ["r-1", "r-2", "r-3"], "r-1")
    assert view.live_release == "r-1"
    assert [(lane.lane, lane.release, lane.depth, lane.dead) for lane in view.lanes] == [
        ("live", None, 0, 0),
        ("gate", "r-2", 1, 0),
        ("gate", "r-3", 0, 1),
    ]
