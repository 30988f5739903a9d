"""Admission: one contract, kept by the fake that the unit tests use and by Redis."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis
from service_kit import FakeAdmission, arrival, event

from service.admission import Admission, Admitted, RedisAdmission
from service.lanes import LIVE, gate_lane
from service.rejected import QueueFull, RateLimited, Unavailable

GATE = gate_lane("r-test")


def admission(redis: Redis, *, per_minute: int = 1000, max_length: int = 1000) -> RedisAdmission:
    """An admission with limits out of the way."""
    return RedisAdmission(redis, per_minute=per_minute, max_length=max_length, timeout_s=2)


@pytest.fixture(params=["fake", pytest.param("redis", marks=pytest.mark.integration)])
def either(request: pytest.FixtureRequest) -> Admission:
    """The fake, and the real one."""
    return FakeAdmission() if request.param == "fake" else admission(request.getfixturevalue("redis"))


async def test_message_is_taken_once(either: Admission) -> None:
    """The first time it is accepted, from then on a duplicate, whichever event brings it."""
    first, second = (arrival(event(message_id="AAA", event=name)) for name in ("message", "message.any"))
    assert await either.admit(first, LIVE) is Admitted.ACCEPTED
    assert await either.admit(second, LIVE) is Admitted.DUPLICATE
    assert await either.admit(arrival(), LIVE) is Admitted.ACCEPTED


async def test_lanes_do_not_see_each_other(either: Admission) -> None:
    """A gate's message is no duplicate of a live one."""
    message = arrival()
    assert await either.admit(message, GATE) is Admitted.ACCEPTED
    assert await either.admit(message, LIVE) is Admitted.ACCEPTED


@pytest.mark.integration
class TestRedis:
    """What only the real one does."""

    async def test_concurrent_duplicates_are_claimed_once(self, redis_url: str) -> None:
        """Of 200 deliveries of 10 messages over 20 connections at once, each is accepted exactly once."""
        clients = [Redis.from_url(redis_url, protocol=2) for _ in range(20)]
        messages = [arrival(event(message_id=f"A{number}")) for number in range(10)]
        outcomes = await asyncio.gather(
            *(admission(client).admit(message, LIVE) for client in clients for message in messages)
        )
        length = await clients[0].xlen(LIVE.stream)
        await asyncio.gather(*(client.aclose() for client in clients))
        assert Counter(outcomes) == {Admitted.ACCEPTED: 10, Admitted.DUPLICATE: 190}
        assert length == 10

    async def test_entry_holds_the_event_as_sent(self, redis: Redis) -> None:
        """The stream has the raw body, the request's id, the lane, the time and the chat's pseudonym."""
        message = arrival()
        await admission(redis).admit(message, GATE)
        ((_, fields),) = await redis.xrange(GATE.stream)
        assert fields == {
            b"event": message.body,
            b"requestId": b"request-1",
            b"lane": b"gate",
            b"received": str(message.received_ms).encode(),
            b"chat": message.chat.encode(),
        }

    async def test_claims_are_kept_48_hours(self, redis: Redis) -> None:
        """WAHA may repeat a message for days; the stream itself does not expire."""
        message = arrival()
        await admission(redis).admit(message, LIVE)
        assert 47 * 3600 < await redis.ttl(LIVE.claim(message.identity)) <= 48 * 3600
        assert await redis.ttl(LIVE.stream) == -1

    async def test_gate_keys_expire(self, redis: Redis) -> None:
        """Every key of a gate lane is gone within the hour."""
        await admission(redis, per_minute=1).admit(arrival(), GATE)
        ttls = {key: await redis.ttl(key) async for key in redis.scan_iter()}
        assert len(ttls) == 4
        assert all(key.startswith(b"{wa}:gate:r-test:") and 0 < ttl <= 3600 for key, ttl in ttls.items())

    async def test_rate_is_limited_by_address(self, redis: Redis) -> None:
        """A minute's share may come at once; then the address must wait, and only that one."""
        limited = admission(redis, per_minute=5)
        for _ in range(5):
            await limited.admit(arrival(), LIVE)
        with pytest.raises(RateLimited) as refused:
            await limited.admit(arrival(), LIVE)
        assert refused.value.retry_after_s is not None
        assert 1 <= refused.value.retry_after_s <= 12
        assert await limited.admit(arrival(address="192.0.2.8"), LIVE) is Admitted.ACCEPTED

    async def test_share_comes_back_evenly(self, redis: Redis) -> None:
        """When a share's time has passed, one request passes, and no second."""
        limited, key = admission(redis, per_minute=5), LIVE.rate("192.0.2.7")
        for _ in range(5):
            await limited.admit(arrival(), LIVE)
        await redis.set(key, float(await redis.get(key)) - 12_000)  # as if 12 s had gone by
        assert await limited.admit(arrival(), LIVE) is Admitted.ACCEPTED
        with pytest.raises(RateLimited):
            await limited.admit(arrival(), LIVE)

    async def test_refused_message_is_not_claimed(self, redis: Redis) -> None:
        """What was refused for the rate or a full queue is accepted when it comes again."""
        message, others = arrival(address="192.0.2.8"), admission(redis, max_length=1)
        await others.admit(arrival(), LIVE)
        with pytest.raises(QueueFull) as refused:
            await others.admit(message, LIVE)
        assert refused.value.retry_after_s == 5
        await redis.delete(LIVE.stream)
        assert await others.admit(message, LIVE) is Admitted.ACCEPTED

    async def test_duplicate_needs_no_room(self, redis: Redis) -> None:
        """A message that is taken already is a duplicate also while the queue is full."""
        message, full = arrival(), admission(redis, max_length=1)
        await full.admit(message, LIVE)
        assert await full.admit(message, LIVE) is Admitted.DUPLICATE

    async def test_forgotten_script_is_loaded_again(self, redis: Redis) -> None:
        """A Redis that restarted knows no scripts; the next message is taken all the same."""
        admitting = admission(redis)
        await admitting.admit(arrival(), LIVE)
        await redis.script_flush()
        assert await admitting.admit(arrival(), LIVE) is Admitted.ACCEPTED

    @pytest.mark.parametrize("setting", [("maxmemory", "1"), ("min-replicas-to-write", "1")])
    async def test_redis_that_cannot_write_is_unavailable(
        self, redis: Redis, setting: tuple[str, str]
    ) -> None:
        """Out of memory, or without the replicas it must have: the sender is asked to come again."""
        name, value = setting
        before = (await redis.config_get(name))[name]
        await redis.config_set(name, value)
        try:
            with pytest.raises(Unavailable) as refused:
                await admission(redis).admit(arrival(), LIVE)
        finally:
            await redis.config_set(name, before)
        assert refused.value.retry_after_s == 2
