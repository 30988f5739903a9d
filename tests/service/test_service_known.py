"""What stays in Redis of messages that are done: they are known for days, in a few bytes each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis
from service_kit import RELEASE, arrival, event

from contracts.durability import DURABLE
from service.accounts.database import MessageOutcome, Reservation
from service.accounts.redis_database import RedisDatabase
from service.event import Message, parse_event
from service.lanes import LIVE, Lane, gate_lane
from service.messages.billing import record_of
from service.messages.inbox import Entry, Inbox, RetryPolicy, TakeState
from service.storage.known import PARTS, PERIODS, REMEMBERED_S, known_name, known_period_s
from service.storage.memory import COMPACT_BYTES, LARGE_BYTES, view_memory
from service.storage.store import Store
from service.webhooks.admission import Admitted, Arrival, StreamAdmission, Verdict
from service.webhooks.headroom import Headroom

pytestmark = pytest.mark.integration

GATE = gate_lane(RELEASE)
PERIOD_S = known_period_s(0)

MOST_BYTES = 64
"""That may stay of an answered message."""


async def admitted(store: Store, message: Arrival, lane: Lane = LIVE) -> Verdict:
    """What becomes of *message*."""
    admission = StreamAdmission(lane, store, Headroom(store), per_minute=6_000_000, max_length=100_000)
    verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    admission.admit(message, verdict.set_result)
    return await verdict


async def shift(redis: Redis, periods: int, lane: Lane = LIVE) -> None:
    """As if all that is known had been noted so many periods earlier."""
    keys = [key.decode() async for key in redis.scan_iter(f"{lane.known}:*")]
    for key in sorted(keys, reverse=periods < 0):  # none takes a name before its holder has moved on
        prefix, period, part = key.rsplit(":", 2)
        await redis.rename(key, f"{prefix}:{int(period) - periods}:{part}")


async def test_message_is_known_for_three_days(redis: Redis, store: Store) -> None:
    """Whenever within its period it came, it is a duplicate for 72 hours, and forgotten after 84."""
    message = arrival()
    assert await admitted(store, message) is Admitted.ACCEPTED
    (key,) = [key async for key in redis.scan_iter(f"{LIVE.known}:*")]
    begun_s = int(key.split(b":")[2]) * PERIOD_S
    assert begun_s <= time.time() < begun_s + PERIOD_S + 1
    assert await redis.expiretime(key) == begun_s + REMEMBERED_S + PERIOD_S
    await shift(redis, PERIODS)
    assert await admitted(store, message) is Admitted.DUPLICATE
    await shift(redis, 1)
    assert await admitted(store, message) is Admitted.ACCEPTED


async def test_clock_that_is_put_back_forgets_nothing(redis: Redis, store: Store) -> None:
    """What was noted in a period that has not begun yet, by the present clock, is known all the same."""
    message = arrival()
    await admitted(store, message)
    await shift(redis, -1)
    assert await admitted(store, message) is Admitted.DUPLICATE


async def test_gates_messages_are_known_for_less_than_an_hour(redis: Redis, store: Store) -> None:
    """A gate leaves nothing behind."""
    await admitted(store, arrival(), GATE)
    (key,) = [key async for key in redis.scan_iter(f"{GATE.known}:*")]
    assert 0 < await redis.ttl(key) <= GATE.lane_ttl_s
    assert known_period_s(GATE.lane_ttl_s) * PERIODS > 2400


async def test_end_is_known_from_then_on(redis: Redis, store: Store) -> None:
    """A message that waited long is charged once however often its end is told, days later too."""
    database, message = RedisDatabase(store, LIVE.prefix, 5), arrival()
    await admitted(store, message)
    await shift(redis, PERIODS)
    record = record_of(parsed(message.body), MessageOutcome.ANSWERED, reply="hi", received_ms=0)
    assert await database.reserve(record.tenant, record.identity) is Reservation.RESERVED
    await database.settle(record)
    await shift(redis, PERIODS)
    await database.settle(record)
    account = await database.tenant(record.tenant)
    assert account
    assert (account.used, account.reserved) == (1, 0)
    assert await admitted(store, message) is Admitted.DUPLICATE


async def test_failed_message_can_be_tried_and_fail_again(redis: Redis, store: Store) -> None:
    """Put back, it holds a credit anew, and its second failure gives that back."""
    database, message = RedisDatabase(store, LIVE.prefix, 1), arrival()
    await admitted(store, message)
    record = record_of(parsed(message.body), MessageOutcome.FAILED, reply="", received_ms=0)
    for _ in range(2):
        assert await database.reserve(record.tenant, record.identity) is Reservation.RESERVED
        await database.settle(record)
        await shift(redis, 1)
    account = await database.tenant(record.tenant)
    assert account
    assert (account.used, account.reserved) == (0, 0)
    assert await admitted(store, message) is Admitted.DUPLICATE


def parsed(body: bytes) -> Message:
    """The message in *body*."""
    message = parse_event(body)
    assert message
    return message


class Answered:
    """Messages that go the whole way through Redis: taken, reserved, marked, charged, finished."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._inbox = Inbox(store, "w", lease_s=30, retry=RetryPolicy(1, 1))
        self._database = RedisDatabase(store, LIVE.prefix, None)

    async def answer(self, numbers: Sequence[int]) -> None:
        """Have messages with these numbers answered, so many at a time."""
        await self._inbox.open(LIVE)
        bodies = [
            event(chat_id=f"49155{number % 997:07}@c.us", message_id=f"3EB0{number % 2**64:016X}")
            for number in numbers
        ]
        verdicts = await asyncio.gather(*(admitted(self._store, arrival(body)) for body in bodies))
        assert set(verdicts) == {Admitted.ACCEPTED}
        entries = await self._inbox.read([LIVE], count=len(numbers), block_ms=1)
        assert len(entries) == len(numbers)
        while entries:
            taken = await asyncio.gather(*map(self._inbox.take, entries))
            now = [entry for entry, (state, _) in zip(entries, taken, strict=True) if state is TakeState.GO]
            await asyncio.gather(*map(self._answer, now))
            done = {entry.id for entry in now}
            entries = [entry for entry in entries if entry.id not in done]

    async def _answer(self, entry: Entry) -> None:
        record = record_of(parsed(entry.fields[b"event"]), MessageOutcome.ANSWERED, reply="hi", received_ms=0)
        await self._database.reserve(record.tenant, record.identity)
        assert await self._inbox.mark(entry, 1)
        await self._database.settle(record)
        assert await self._inbox.finish(entry)


async def test_little_stays_of_an_answered_message(redis: Redis, store: Store) -> None:
    """20,000 of them make Redis's memory grow by so much for each, log and all."""
    rig, count, at_once = Answered(store), 20_000, 500
    await rig.answer(range(-at_once, 0))  # Redis makes a histogram for each command, 40 kB, at its first use
    before = (await redis.info("memory"))["used_memory"]
    for start in range(0, count, at_once):
        await rig.answer(range(start, start + at_once))
    kept = ((await redis.info("memory"))["used_memory"] - before) / count
    view = await view_memory(store, LIVE)
    print(f"{kept:.1f} bytes stay of an answered message; the view says {view.bytes_per_message}")
    assert kept <= MOST_BYTES
    assert abs(view.known_messages - count) < count / 5
    assert view.bytes_per_message is not None
    assert 20 < view.bytes_per_message < kept * 1.1  # the view counts by a sample
    kinds = {key.decode().split(":")[1] async for key in redis.scan_iter()}
    assert kinds == {"known", "log", "messages", "rate", "tenant", "tenants"}


def test_names_are_short_and_spread() -> None:
    """Sixteen characters beside the part's three; the parts are about alike, and no two names are."""
    names = [known_name(str(number)) for number in range(100_000)]
    assert {len(name) for name in names} == {19}
    sizes = Counter(name[:3] for name in names)
    assert len(sizes) == PARTS
    assert max(sizes.values()) < 3 * len(names) / PARTS
    assert len({name[3:] for name in names}) == len(names)


@pytest.mark.parametrize("each", [COMPACT_BYTES, LARGE_BYTES])
async def test_figures_for_what_is_sustained_are_measured(redis: Redis, store: Store, each: int) -> None:
    """Bytes of a message in a hash that is small to Redis, and in one that is not: not less than is said."""
    await store.call("CONFIG", "SET", "hash-max-listpack-entries", 512 if each == COMPACT_BYTES else 0)
    try:
        before = (await redis.info("memory"))["used_memory"]
        for part in range(40):
            for number in range(0, 450, 50):
                ids = [known_name(f"{part} {number + more}")[3:] for more in range(50)]
                await redis.hset(f"{LIVE.known}:1:{part}", mapping=dict.fromkeys(ids, "a"))
        measured = ((await redis.info("memory"))["used_memory"] - before) / 40 / 450
    finally:
        await store.call("CONFIG", "SET", "hash-max-listpack-entries", DURABLE["hash-max-listpack-entries"])
    assert each * 0.8 < measured <= each


async def test_a_stacks_redis_keeps_more_messages_compact(redis: Redis) -> None:
    """As many as come at 44 a second fill a period's hashes to 620 on average, hardly one to 740."""
    before = (await redis.info("memory"))["used_memory"]
    for part in range(20):
        ids = [known_name(f"{part} {number}")[3:] for number in range(740)]
        await redis.hset(f"{LIVE.known}:1:{part}", mapping=dict.fromkeys(ids, "a"))
    measured = ((await redis.info("memory"))["used_memory"] - before) / 20 / 740
    assert measured <= MOST_BYTES


async def test_sustained_rate_follows_from_the_memory(redis: Redis, store: Store) -> None:
    """Without a limit there is none; with one, it is what fills nine tenths of the rest in 84 hours."""
    assert (await view_memory(store, LIVE)).sustained_per_s is None
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used + 256 * 2**20)
    try:
        view = await view_memory(store, LIVE)
    finally:
        await redis.config_set("maxmemory", 0)
    assert view.max_bytes == used + 256 * 2**20
    remembered_s = REMEMBERED_S + PERIOD_S
    expected = 256 * 2**20 * 0.9 / COMPACT_BYTES / remembered_s
    assert view.sustained_per_s == pytest.approx(expected, rel=0.05)
