"""Admission: one contract, kept by the fake that the unit tests use and by Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import chain, repeat
from typing import cast

import pytest
from redis.asyncio import Redis
from service_kit import FakeAdmission, arrival, event

from service.lanes import LIVE, Lane, gate_lane
from service.storage.redis_store import RedisStore
from service.storage.store import DiskFailed, OutOfMemory, Store, StoreAway
from service.webhooks.admission import (
    ENOUGH,
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_CALLS,
    Admission,
    Admitted,
    Arrival,
    StreamAdmission,
    Verdict,
)
from service.webhooks.headroom import Headroom
from service.webhooks.rejected import MemoryFull, QueueFull, RateLimited, Unavailable

GATE = gate_lane("r-test")


def admission(
    store: Store, *, lane: Lane = LIVE, per_minute: int = 1000, max_length: int = 1000
) -> StreamAdmission:
    """An admission with limits out of the way."""
    return StreamAdmission(lane, store, Headroom(store), per_minute=per_minute, max_length=max_length)


async def eventually(condition: Callable[[], bool]) -> bool:
    """Whether *condition* comes to hold, the event loop turning meanwhile."""
    deadline = asyncio.get_running_loop().time() + 30
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.001)
    return True


async def admitted(by: Admission, message: Arrival) -> Verdict:
    """What became of *message*."""
    verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    by.admit(message, verdict.set_result)
    return await verdict


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.integration)])
def lanes(request: pytest.FixtureRequest) -> tuple[Admission, Admission]:
    """Two lanes' admissions: fakes, and the real ones."""
    if request.param == "fake":
        return FakeAdmission(LIVE), FakeAdmission(GATE)
    store = request.getfixturevalue("store")
    return admission(store), admission(store, lane=GATE)


async def test_message_is_taken_once(lanes: tuple[Admission, Admission]) -> None:
    """The first time it is accepted, from then on a duplicate, whichever event brings it."""
    first, second = (arrival(event(message_id="AAA", event=name)) for name in ("message", "message.any"))
    assert await admitted(lanes[0], first) is Admitted.ACCEPTED
    assert await admitted(lanes[0], second) is Admitted.DUPLICATE
    assert await admitted(lanes[0], arrival()) is Admitted.ACCEPTED


async def test_lanes_do_not_see_each_other(lanes: tuple[Admission, Admission]) -> None:
    """A gate's message is no duplicate of a live one."""
    message = arrival()
    assert await admitted(lanes[1], message) is Admitted.ACCEPTED
    assert await admitted(lanes[0], message) is Admitted.ACCEPTED


class SilentStore:
    """A store whose calls end when told, and not well."""

    def __init__(self) -> None:
        self.calls = 0
        self.ends = asyncio.Event()

    def call(self, *_command: object) -> asyncio.Future[list[int]]:
        return asyncio.ensure_future(self._end())

    def run(self, *_call: object, at_once: bool) -> asyncio.Future[list[int]]:
        self.calls += 1
        return asyncio.ensure_future(self._end())

    async def _end(self) -> list[int]:
        await self.ends.wait()
        raise StoreAway("no answer")


async def test_what_waits_behind_a_silent_redis_is_refused_with_it() -> None:
    """Messages that came while Redis said nothing do not wait for a call of their own to fail."""
    store = SilentStore()
    one = admission(cast(Store, store))
    verdicts = [asyncio.create_task(admitted(one, arrival()))]
    assert await eventually(lambda: store.calls == 1)
    verdicts += [asyncio.create_task(admitted(one, arrival()))]
    assert await eventually(lambda: store.calls == MAX_CALLS)
    verdicts += [asyncio.create_task(admitted(one, arrival())) for _ in range(300)]
    await asyncio.sleep(0)
    store.ends.set()
    assert {type(verdict) for verdict in await asyncio.gather(*verdicts)} == {Unavailable}
    assert store.calls == MAX_CALLS


@pytest.mark.parametrize(
    ("error", "code"), [(OutOfMemory("OOM"), "memory"), (DiskFailed("MISCONF"), "unavailable")]
)
async def test_redis_without_room_says_which(error: Exception, code: str) -> None:
    """No memory is called so, and a disk that fails is neither that nor a full queue."""
    one = admission(cast(Store, FailingStore(error)))
    refused = await admitted(one, arrival())
    assert isinstance(refused, Unavailable)
    assert (refused.code, refused.retry_after_s) == (code, 5)


class FailingStore(SilentStore):
    """A store whose calls fail at once."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def _end(self) -> list[int]:
        raise self._error


class CountingStore(SilentStore):
    """A store that takes everything, and notes the bytes of each call's events."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def run(
        self, _script: object, _keys: list[str], arguments: list[bytes], *, at_once: bool
    ) -> asyncio.Future[list[int]]:
        events = arguments[5::5]
        self.sizes.append(sum(map(len, events)))
        call = asyncio.get_running_loop().create_future()
        call.set_result([0] * len(events))
        return call


@pytest.mark.parametrize(
    ("size", "count", "calls"), [(150_000, 200, 9), (MAX_BATCH_BYTES + 1, 3, 3), (100, 2 * MAX_BATCH + 1, 4)]
)
async def test_one_call_is_of_so_many_bytes(size: int, count: int, calls: int) -> None:
    """Large events are divided among calls, each has one at least; small ones are as many as may be."""
    store = CountingStore()
    one = admission(cast(Store, store))
    verdicts: list[Verdict] = []
    for number in range(count):
        one.admit(Arrival(b"x" * size, f"id{number}", "chat", "192.0.2.7", f"r{number}", 0), verdicts.append)
    assert await eventually(lambda: len(verdicts) == count)
    assert set(verdicts) == {Admitted.ACCEPTED}
    assert max(store.sizes) <= max(MAX_BATCH_BYTES, size)
    assert len(store.sizes) <= calls


async def test_enough_messages_do_not_wait_for_the_turn_to_end() -> None:
    """Their call is under way while others still come; fewer wait for what else this turn brings."""
    store = SilentStore()
    one = admission(cast(Store, store))
    verdicts: list[Verdict] = []
    for _ in range(ENOUGH - 1):
        one.admit(arrival(), verdicts.append)
    assert store.calls == 0
    one.admit(arrival(), verdicts.append)
    assert store.calls == 1
    one.admit(arrival(), verdicts.append)
    assert await eventually(lambda: store.calls == 2)
    store.ends.set()
    assert await eventually(lambda: len(verdicts) == ENOUGH + 1)


async def test_callback_that_fails_leaves_nobody_else_without_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others of its batch hear their verdicts, and the error is logged."""
    one = admission(cast(Store, FailingStore(OutOfMemory("OOM"))))
    verdicts: list[Verdict] = []

    def broken(_verdict: Verdict) -> None:
        raise ZeroDivisionError

    for done in (broken, verdicts.append, broken, verdicts.append):
        one.admit(arrival(), done)
    assert await eventually(lambda: len(verdicts) == 2)
    errors = [line.exc_info[0] for line in caplog.records if line.exc_info]
    assert errors == [ZeroDivisionError] * 2


@pytest.mark.integration
class TestRedis:
    """What only the real one does."""

    async def test_concurrent_duplicates_are_claimed_once(self, redis: Redis, redis_url: str) -> None:
        """Of 200 deliveries of 10 messages to 20 processes at once, each is accepted exactly once."""
        stores = [RedisStore(redis_url, timeout_s=30) for _ in range(20)]
        messages = [arrival(event(message_id=f"A{number}")) for number in range(10)]
        admissions = [admission(store) for store in stores]
        outcomes = await asyncio.gather(
            *(admitted(one, message) for one in admissions for message in messages)
        )
        await asyncio.gather(*(store.aclose() for store in stores))
        assert Counter(outcomes) == {Admitted.ACCEPTED: 10, Admitted.DUPLICATE: 190}
        assert await redis.xlen(LIVE.stream) == 10

    async def test_messages_of_one_moment_share_calls(self, redis: Redis, store: Store) -> None:
        """Fifty messages at once are three calls: two that leave with enough, one with all that came behind.

        Their order in the stream is that of their coming.
        """
        messages = [arrival(event(message_id=f"A{number}")) for number in range(50)]
        one = admission(store)
        await redis.config_resetstat()
        verdicts = await asyncio.gather(*(admitted(one, message) for message in messages))
        calls = await redis.info("commandstats")
        assert set(verdicts) == {Admitted.ACCEPTED}
        assert calls["cmdstat_eval"]["calls"] + calls["cmdstat_evalsha"]["calls"] == 3
        entries = await redis.xrange(LIVE.stream)
        assert [fields[b"event"] for _, fields in entries] == [message.body for message in messages]

    async def test_each_message_of_a_call_has_its_own_verdict(self, store: Store) -> None:
        """Accepted, duplicate and limited may come together, and each sender hears of its own message."""
        one, message, other = admission(store, per_minute=2), arrival(), arrival(address="192.0.2.8")
        verdicts = await asyncio.gather(*(admitted(one, it) for it in (message, message, arrival(), other)))
        assert verdicts[:2] == [Admitted.ACCEPTED, Admitted.DUPLICATE]
        assert isinstance(verdicts[2], RateLimited)
        assert verdicts[3] is Admitted.ACCEPTED

    async def test_entry_holds_the_event_as_sent(self, redis: Redis, store: Store) -> None:
        """The stream has the raw body, the request's id, the lane, the time and the chat's pseudonym."""
        message = arrival()
        await admitted(admission(store, lane=GATE), message)
        ((_, fields),) = await redis.xrange(GATE.stream)
        assert fields == {
            b"event": message.body,
            b"requestId": b"request-1",
            b"lane": b"gate",
            b"received": str(message.received_ms).encode(),
            b"chat": message.chat.encode(),
        }

    async def test_stream_does_not_expire(self, redis: Redis, store: Store) -> None:
        """What is accepted waits for ever."""
        await admitted(admission(store), arrival())
        assert await redis.ttl(LIVE.stream) == -1

    async def test_gate_keys_expire(self, redis: Redis, store: Store) -> None:
        """Every key of a gate lane is gone within the hour."""
        await admitted(admission(store, lane=GATE, per_minute=1), arrival())
        ttls = {key: await redis.ttl(key) async for key in redis.scan_iter()}
        assert len(ttls) == 4
        assert all(key.startswith(b"{wa}:gate:r-test:") and 0 < ttl <= 3600 for key, ttl in ttls.items())

    async def test_rate_is_limited_by_address(self, redis: Redis, store: Store) -> None:
        """A minute's share may come at once; then the address must wait, and only that one."""
        limited = admission(store, per_minute=5)
        for _ in range(5):
            await admitted(limited, arrival())
        refused = await admitted(limited, arrival())
        assert isinstance(refused, RateLimited)
        assert refused.retry_after_s is not None
        assert 1 <= refused.retry_after_s <= 12
        assert await admitted(limited, arrival(address="192.0.2.8")) is Admitted.ACCEPTED

    async def test_share_comes_back_evenly(self, redis: Redis, store: Store) -> None:
        """When a share's time has passed, one request passes, and no second."""
        limited, key = admission(store, per_minute=5), LIVE.rate("192.0.2.7")
        for _ in range(5):
            await admitted(limited, arrival())
        await redis.set(key, float(await redis.get(key)) - 12_000)  # as if 12 s had gone by
        assert await admitted(limited, arrival()) is Admitted.ACCEPTED
        assert isinstance(await admitted(limited, arrival()), RateLimited)

    async def test_clock_that_was_put_back_shuts_nobody_out(self, redis: Redis, store: Store) -> None:
        """A time further ahead than a full bucket takes to empty is of a clock that was wrong."""
        limited, key = admission(store, per_minute=5), LIVE.rate("192.0.2.7")
        await admitted(limited, arrival())
        await redis.set(
            key, float(await redis.get(key)) + 600_000
        )  # as if it had been put back by ten minutes
        assert [await admitted(limited, arrival()) for _ in range(5)] == [Admitted.ACCEPTED] * 5
        assert isinstance(await admitted(limited, arrival()), RateLimited)

    async def test_refused_message_is_no_duplicate_later(self, redis: Redis, store: Store) -> None:
        """What was refused for the rate or a full queue is accepted when it comes again."""
        message, others = arrival(address="192.0.2.8"), admission(store, max_length=1)
        await admitted(others, arrival())
        refused = await admitted(others, message)
        assert isinstance(refused, QueueFull)
        assert refused.retry_after_s == 5
        await redis.delete(LIVE.stream)
        assert await admitted(others, message) is Admitted.ACCEPTED

    async def test_duplicate_needs_no_room(self, redis: Redis, store: Store) -> None:
        """A message that is taken already is a duplicate also while the queue is full."""
        message, full = arrival(), admission(store, max_length=1)
        await admitted(full, message)
        assert await admitted(full, message) is Admitted.DUPLICATE

    async def test_forgotten_script_is_loaded_again(self, redis: Redis, store: Store) -> None:
        """A Redis that restarted knows no scripts; the next message is taken all the same."""
        admitting = admission(store)
        await admitted(admitting, arrival())
        await redis.script_flush()
        assert await admitted(admitting, arrival()) is Admitted.ACCEPTED

    @pytest.mark.parametrize(
        ("name", "value", "retry_after_s", "code"),
        [("maxmemory", "1", 5, "memory"), ("min-replicas-to-write", "1", 2, "unavailable")],
    )
    async def test_redis_that_cannot_write_is_unavailable(
        self, redis: Redis, store: Store, name: str, value: str, retry_after_s: int, code: str
    ) -> None:
        """Out of memory, or without the replicas it must have: the sender is asked to come again."""
        before = (await redis.config_get(name))[name]
        await redis.config_set(name, value)
        try:
            refused = await admitted(admission(store), arrival())
        finally:
            await redis.config_set(name, before)
        assert isinstance(refused, Unavailable)
        assert (refused.retry_after_s, refused.code) == (retry_after_s, code)

    async def test_messages_are_refused_before_redis_is_full(self, redis: Redis, store: Store) -> None:
        """Above nine tenths of its memory nothing is taken, so that what was taken can still be done."""
        headroom = Headroom(store, clock=chain([0.0], repeat(float("inf"))).__next__)
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", int(used * 1.05))
        try:
            assert not headroom.is_short()  # it looks now, and nobody waits for that
            one = StreamAdmission(LIVE, store, headroom, per_minute=9, max_length=9)
            assert await eventually(headroom.is_short)
            refused = await admitted(one, arrival())
        finally:
            await redis.config_set("maxmemory", "0")
        assert isinstance(refused, MemoryFull)
        assert await redis.xlen(LIVE.stream) == 0
