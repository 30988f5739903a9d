"""Messengers beside WAHA's: they promise the same of the outcome."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from service_kit import NO_REDIS

from service.lanes import gate_lane
from service.messages.messenger import Messenger, NotSent, NoWaha, OutcomeUnknown, Sink
from service.messages.replies import RecordedReplies, Reply
from service.storage.redis_store import RedisStore
from service.storage.store import Store

REPLY = Reply("default", "1@c.us", "text", "false_1@c.us_A")
GATE = gate_lane("r")


async def test_messengers_raise_only_their_two_errors() -> None:
    """Without WAHA a message waits; a sink whose Redis is away does not know."""
    nowhere = RedisStore(NO_REDIS, timeout_s=0.5)
    cases: list[tuple[Messenger, type[Exception]]] = [
        (NoWaha(), NotSent),
        (Sink(RecordedReplies(nowhere, GATE)), OutcomeUnknown),
    ]
    for messenger, error in cases:
        with pytest.raises(error):
            await messenger.send_text(REPLY)
    await nowhere.aclose()


@pytest.mark.integration
async def test_sink_without_room_has_recorded_nothing(redis: Redis, store: Store) -> None:
    """A Redis whose memory is full refuses the record, and it may be tried again."""
    await redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(NotSent):
            await Sink(RecordedReplies(store, GATE)).send_text(REPLY)
    finally:
        await redis.config_set("maxmemory", 0)
    assert await redis.xlen(GATE.replies) == 0
