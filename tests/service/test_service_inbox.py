"""The worker's side of the streams: one holder at a time, nothing sent twice, nothing lost."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from service_kit import arrival, event
from store_kit import pass_by

from service.lanes import GROUP, LIVE, gate_lane
from service.messages.inbox import Entry, Inbox, Record, RetryPolicy, TakeState
from service.settings import WorkerSettings
from service.storage.store import Store, StoreFull, StoreRefused
from service.webhooks.admission import Admitted, StreamAdmission, Verdict
from service.webhooks.headroom import Headroom

pytestmark = pytest.mark.integration

GATE = gate_lane("r-test")
LEASE_S = 60.0
"""Over by `pass_by` and not before, however slow the machine is."""


@pytest.fixture
def store(either_store: Store) -> Store:
    """A store on an empty Redis, either way: what REST lacks must not be missed here."""
    return either_store


def inbox(store: Store, consumer: str = "a", *, base_s: float = 0.01) -> Inbox:
    """The streams as one worker sees them, with short pauses."""
    return Inbox(store, consumer, lease_s=LEASE_S, retry=RetryPolicy(base_s, 10))


async def enqueue(store: Store, *chats: str) -> None:
    """Admit one message to each of *chats*."""
    admission = StreamAdmission(LIVE, store, Headroom(store), per_minute=1000, max_length=1000)
    for chat in chats:
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        admission.admit(arrival(event(chat_id=f"{chat}@c.us")), verdict.set_result)
        assert await verdict is Admitted.ACCEPTED


async def read(worker: Inbox, count: int = 10) -> list[Entry]:
    """The new entries."""
    return await worker.read([LIVE], count=count, block_ms=1)


async def left_by_the_dead(store: Store, worker: Inbox) -> list[Entry]:
    """What others hold, after a lease."""
    await pass_by(store, LEASE_S)
    return await worker.due(LIVE, ())


@pytest.fixture
async def ours(store: Store) -> Inbox:
    """A worker's inbox, opened."""
    worker = inbox(store)
    await worker.open(LIVE)
    return worker


async def test_open_is_repeatable_and_sees_what_was_there(store: Store) -> None:
    """Messages that came before any worker are read by the first one."""
    await enqueue(store, "1")
    worker = inbox(store)
    await worker.open(LIVE)
    await worker.open(LIVE)
    assert len(await read(worker)) == 1


async def test_gate_lane_expires_unless_kept_alive(redis: Redis, store: Store) -> None:
    """An opened gate lane has an hour, renewed by its worker."""
    worker = inbox(store)
    await worker.open(GATE)
    await redis.expire(GATE.stream, 5)
    await worker.keep_alive(GATE)
    assert 3590 < await redis.ttl(GATE.stream) <= 3600


async def test_finished_message_is_gone(redis: Redis, store: Store, ours: Inbox) -> None:
    """Nothing stays of a message that is done but that it is known."""
    await enqueue(store, "1")
    (entry,) = await read(ours)
    assert await ours.take(entry) == (TakeState.GO, 1)
    assert await ours.mark(entry, 1)
    assert await ours.finish(entry)
    keys = [key async for key in redis.scan_iter()]
    assert await redis.xlen(LIVE.stream) == 0
    assert sorted(key.split(b":")[1] for key in keys) == [b"known", b"messages", b"rate"]


async def test_finishing_twice_counts_once(redis: Redis, store: Store, ours: Inbox) -> None:
    """Only the first end of a message leaves a record."""
    await enqueue(store, "1")
    (entry,) = await read(ours)
    record = Record(LIVE.unknown, "why", 1)
    assert [await ours.finish(entry, record), await ours.finish(entry, record)] == [True, False]
    ((_, fields),) = await redis.xrange(LIVE.unknown)
    assert (fields[b"reason"], fields[b"event"], fields[b"entry"]) == (
        b"why",
        entry.fields[b"event"],
        entry.id.encode(),
    )
    assert await ours.take(entry) == (TakeState.GONE, 0)


async def test_chat_keeps_its_order_across_workers(store: Store, ours: Inbox) -> None:
    """A later message of a chat waits for the earlier one, whoever holds it; other chats do not wait."""
    theirs = inbox(store, "b")
    await enqueue(store, "1", "1", "2")
    (first,) = await read(ours, count=1)
    second, other = await read(theirs)
    assert await theirs.take(second) == (TakeState.WAIT, 0)
    assert await theirs.take(other) == (TakeState.GO, 1)
    assert await ours.take(first) == (TakeState.GO, 1)
    await ours.finish(first)
    (again,) = [entry for entry in await theirs.due(LIVE, {other.id}) if entry.id == second.id]
    assert await theirs.take(again) == (TakeState.GO, 1)


async def test_removed_head_does_not_block_its_chat(redis: Redis, store: Store, ours: Inbox) -> None:
    """A message taken out of the stream by hand is passed over."""
    await enqueue(store, "1", "1")
    first, second = await read(ours)
    await redis.xdel(LIVE.stream, first.id)
    assert await ours.take(second) == (TakeState.GO, 1)


async def test_dead_workers_message_is_taken_over(store: Store, ours: Inbox) -> None:
    """After a lease another worker gets it, as a second attempt, and only one of them."""
    await enqueue(store, "1")
    await read(inbox(store, "dead"))
    assert await ours.due(LIVE, ()) == []
    (entry,) = await left_by_the_dead(store, ours)
    third = inbox(store, "c")
    (seen,) = await third.due(LIVE, ())
    assert await ours.take(entry) == (TakeState.GO, 2)
    assert await third.take(seen) == (TakeState.GONE, 0)


async def test_renewed_message_is_not_taken_over(store: Store, ours: Inbox) -> None:
    """A worker that lives keeps what it has in hand, however long it takes."""
    alive = inbox(store, "alive")
    await enqueue(store, "1")
    (entry,) = await read(alive)
    await pass_by(store, LEASE_S)
    await alive.renew(LIVE, [entry.id])
    assert await ours.due(LIVE, ()) == []


async def refused_and_left(store: Store, worker: Inbox, entry: Entry) -> Entry:
    """*entry* after an attempt of *worker* that was surely refused, a lease later: it lists it as its own."""
    await worker.take(entry)
    await worker.mark(entry, 1)
    await worker.unmark(entry, 1)
    await pass_by(store, LEASE_S)
    (listed,) = await worker.due(LIVE, ())
    return listed


async def test_message_that_another_took_over_is_not_taken_back(store: Store, ours: Inbox) -> None:
    """Whoever listed it as its own before leaves it alone: it is being sent, and nobody has died."""
    busy = inbox(store, "busy")
    await enqueue(store, "1")
    (entry,) = await read(busy)
    listed = await refused_and_left(store, busy, entry)
    (left,) = await ours.due(LIVE, ())
    assert await ours.take(left) == (TakeState.GO, 2)
    assert await ours.mark(left, 2)
    assert await busy.take(listed) == (TakeState.GONE, 0)
    await ours.unmark(left, 2)
    await asyncio.sleep(0.03)  # the pause
    (again,) = await ours.due(LIVE, ())
    assert await ours.take(again) == (TakeState.GO, 3)


async def test_renewing_does_not_take_back_what_another_took_over(
    redis: Redis, store: Store, ours: Inbox
) -> None:
    """A worker that queues what it listed renews what it still holds, and nothing else."""
    busy = inbox(store, "busy")
    await enqueue(store, "1", "2")
    lost, kept = await read(busy)
    await pass_by(store, LEASE_S)
    left = next(entry for entry in await ours.due(LIVE, ()) if entry.id == lost.id)
    assert await ours.take(left) == (TakeState.GO, 2)
    await busy.renew(LIVE, [lost.id, kept.id])
    holders = await redis.xpending_range(LIVE.stream, GROUP, "-", "+", 10)
    assert [held["consumer"] for held in holders] == [b"a", b"busy"]
    assert await ours.mark(left, 2)
    assert await busy.take(kept) == (TakeState.GO, 1)


async def test_a_mark_is_removed_by_its_own_attempt_only(store: Store, ours: Inbox) -> None:
    """A worker that says late that its attempt was refused leaves the mark of whoever came after it."""
    stalled = inbox(store, "stalled")
    await enqueue(store, "1")
    (entry,) = await read(stalled)
    listed = await refused_and_left(store, stalled, entry)
    (left,) = await ours.due(LIVE, ())
    await ours.take(left)
    assert await ours.mark(left, 2)
    await stalled.unmark(listed, 1)
    await pass_by(store, LEASE_S)
    (orphan,) = await inbox(store, "c").due(LIVE, ())
    assert await inbox(store, "c").take(orphan) == (TakeState.UNKNOWN, 3)


async def test_only_the_holder_marks(store: Store, ours: Inbox) -> None:
    """A worker whose message another has taken over since may not send it, marked or not."""
    stalled = inbox(store, "stalled")
    await enqueue(store, "1")
    (entry,) = await read(stalled)
    await stalled.take(entry)
    (left,) = await left_by_the_dead(store, ours)
    await ours.take(left)
    assert not await stalled.mark(entry, 1)
    assert await ours.mark(left, 2)


async def test_message_left_while_sending_is_unknown(store: Store, ours: Inbox) -> None:
    """Whoever takes over a message that was marked must not send it."""
    dead = inbox(store, "dead")
    await enqueue(store, "1")
    (entry,) = await read(dead)
    await dead.take(entry)
    assert await dead.mark(entry, 1)
    (left,) = await left_by_the_dead(store, ours)
    assert await ours.take(left) == (TakeState.UNKNOWN, 2)


async def test_only_one_of_two_workers_gets_the_mark(store: Store, ours: Inbox) -> None:
    """A worker that stalled and comes back after another took over cannot send as well."""
    stalled = inbox(store, "stalled")
    await enqueue(store, "1")
    (entry,) = await read(stalled)
    await stalled.take(entry)
    (left,) = await left_by_the_dead(store, ours)
    await ours.take(left)
    assert await ours.mark(left, 2)
    assert not await stalled.mark(entry, 1)
    await ours.finish(left)
    assert not await stalled.mark(entry, 1)


async def test_own_mark_is_given_again(store: Store, ours: Inbox) -> None:
    """An attempt whose first answer was lost asks again and gets its own mark."""
    await enqueue(store, "1")
    (entry,) = await read(ours)
    assert [await ours.mark(entry, 1), await ours.mark(entry, 1), await ours.mark(entry, 2)] == [
        True,
        True,
        False,
    ]


async def test_failed_message_rests_and_is_counted(store: Store) -> None:
    """A message surely not sent is due after its pause, as the next attempt."""
    worker = inbox(store, base_s=10)
    await worker.open(LIVE)
    await enqueue(store, "1")
    (entry,) = await read(worker)
    await worker.take(entry)
    await worker.mark(entry, 1)
    await worker.unmark(entry, 1)
    assert await worker.due(LIVE, {entry.id}) == []
    assert await worker.due(LIVE, ()) == []
    await pass_by(store, 12.5)
    assert await worker.due(LIVE, {entry.id}) == []
    (again,) = await worker.due(LIVE, ())
    assert await worker.take(again) == (TakeState.GO, 2)


async def test_waiting_is_no_attempt(store: Store, ours: Inbox) -> None:
    """However often a message had to wait for its turn, its first attempt is its first."""
    theirs = inbox(store, "b")
    await enqueue(store, "1", "1")
    (first,) = await read(ours, count=1)
    await read(theirs)
    for _ in range(5):
        await ours.renew(LIVE, [first.id])
        for entry in await theirs.due(LIVE, ()):
            assert await theirs.take(entry) == (TakeState.WAIT, 0)
        await asyncio.sleep(0.01)
    await ours.finish(first)
    (entry,) = await theirs.due(LIVE, ())
    assert (await theirs.take(entry))[1] <= 1


async def test_lost_group_is_an_error_until_opened(redis: Redis, store: Store, ours: Inbox) -> None:
    """When Redis lost its data, reading fails, and opening mends it."""
    await redis.flushall()
    with pytest.raises(StoreRefused, match="NOGROUP"):
        await read(ours)
    await ours.open(LIVE)
    await enqueue(store, "1")
    assert len(await read(ours)) == 1


async def test_only_silent_consumers_without_messages_are_forgotten(
    redis: Redis, store: Store, ours: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is gone is forgotten, unless it holds messages, which would be lost with it."""
    await enqueue(store, "1")
    await read(inbox(store, "holds"))
    await read(inbox(store, "gone"))
    await asyncio.sleep(0.01)
    monkeypatch.setattr("service.messages.inbox.SILENT_CONSUMER_MS", 5)
    await ours.open(LIVE)
    consumers = await redis.xinfo_consumers(LIVE.stream, GROUP)
    assert [consumer["name"] for consumer in consumers] == [b"holds"]


@pytest.mark.parametrize(
    ("attempts", "least_ms"), [(0, 0), (1, 1000), (2, 2000), (5, 16_000), (9, 60_000), (10**6, 60_000)]
)
def test_pauses_double_up_to_the_cap(attempts: int, least_ms: int) -> None:
    """Pauses grow with the attempts, are bounded for any count, and at most a quarter longer."""
    pauses = [RetryPolicy(1, 60).pause_ms(attempts, f"{number}-0") for number in range(100)]
    assert all(least_ms <= pause_ms <= least_ms * 1.25 for pause_ms in pauses)


def test_pauses_of_many_chats_are_spread() -> None:
    """A thousand messages that failed in one moment do not come back in one; each keeps its own pause."""
    policy = RetryPolicy(1, 60)
    pauses = [policy.pause_ms(9, f"1764000000000-{number}") for number in range(1000)]
    tenths = [
        sum(60_000 + 1500 * part <= pause < 61_500 + 1500 * part for pause in pauses) for part in range(10)
    ]
    assert min(tenths) > 50
    assert pauses == [policy.pause_ms(9, f"1764000000000-{number}") for number in range(1000)]


def test_waha_away_for_twenty_minutes_makes_no_dead_letter() -> None:
    """By the defaults of the settings, with the shortest pauses there are; the longest is a minute."""
    defaults = {name: WorkerSettings.model_fields[name].default for name in WorkerSettings.model_fields}
    policy = RetryPolicy(defaults["retry_base_s"], defaults["retry_cap_s"])
    pauses = [
        min(policy.pause_ms(attempt, f"{number}-0") for number in range(100))
        for attempt in range(1, defaults["max_attempts"])
    ]
    assert sum(pauses) >= 20 * 60_000
    assert policy.pause_ms(100, "1-0") <= 75_000


async def test_many_that_rest_hide_none_that_is_due(
    store: Store, ours: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many entries wait before it, one that is due is found in a few looks, and then all again."""
    monkeypatch.setattr("service.messages.inbox.SCAN_COUNT", 2)
    await enqueue(store, *(str(number) for number in range(5)))
    entries = await read(ours)
    held = {entry.id for entry in entries[:4]}
    await asyncio.sleep(0.02)  # the pause
    for _ in range(2):
        looks = [await ours.due(LIVE, held) for _ in range(3)]
        assert [[entry.id for entry in found] for found in looks] == [[], [], [entries[4].id]]


async def test_a_full_redis_can_be_emptied(redis: Redis, store: Store) -> None:
    """A worker that starts when Redis has no room takes, marks and ends messages, with a record too."""
    await enqueue(store, "1", "2")
    await inbox(store, "dead").open(LIVE)
    await redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreFull):
            await store.call("SET", "a", 1)
        worker = inbox(store)
        await worker.open(LIVE)
        first, second = await read(worker)
        for entry, record in ((first, None), (second, Record(LIVE.dead, "why", 1))):
            assert await worker.take(entry) == (TakeState.GO, 1)
            assert await worker.mark(entry, 1)
            assert await worker.finish(entry, record)
    finally:
        await redis.config_set("maxmemory", "0")
    assert (await redis.xlen(LIVE.stream), await redis.xlen(LIVE.dead)) == (0, 1)
