"""What only the database on Redis has: keys that expire, a bounded log, and work at the memory's limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from database_kit import RedisBackend, record
from redis.asyncio import Redis

from service.accounts.database import Database, MessageOutcome, Reservation
from service.accounts.redis_database import LOG_LENGTH, LOGGED_CHARACTERS
from service.storage.known import REMEMBERED_S, known_period_s

ANSWERED, UNKNOWN = MessageOutcome.ANSWERED, MessageOutcome.UNKNOWN
GATE = "{wa}:gate:r-test"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis, to look at keys."""
    async with Redis.from_url(redis_url, protocol=2, decode_responses=True) as client:
        yield client


@pytest.fixture
async def database(redis: Redis, redis_url: str) -> AsyncIterator[Database]:
    """The live lane's database, with one credit a tenant."""
    async with RedisBackend(redis_url).open(1) as database:
        yield database


async def fill(database: Database) -> None:
    """Touch every kind of key."""
    await database.save_tenant("t", credits=5, owner_email="owner@example.com")
    await database.settle(record(UNKNOWN, "m1"))
    await database.settle(record(ANSWERED, "m2"))
    await database.reserve("new", "m3")


async def test_a_gate_leaves_no_key_behind(redis: Redis, redis_url: str) -> None:
    """Under a gate's prefix every key expires, those of a tenant that is refused too."""
    async with RedisBackend(redis_url, GATE, life_s=60).open(0) as database:
        await fill(database)
    keys = await redis.keys("*")
    assert len(keys) == 7
    assert all(key.startswith(f"{GATE}:") for key in keys)
    assert all([0 < await redis.ttl(key) <= 60 for key in keys])


async def test_accounts_and_log_stay_and_the_ledger_expires(redis: Redis, database: Database) -> None:
    """Live, only what is remembered of single messages expires."""
    await fill(database)
    mortal = {key for key in await redis.keys("*") if await redis.ttl(key) >= 0}
    assert {key.rsplit(":", 2)[0] for key in mortal} == {"{wa}:known"}
    assert all([0 <= await redis.ttl(key) - REMEMBERED_S <= known_period_s(0) for key in mortal])


async def test_a_held_credit_lapses_with_the_ledger(redis: Redis, database: Database) -> None:
    """A credit that was held for an outcome nobody ever knew comes back to the tenant."""
    await database.reserve("t", "m1")
    assert await database.reserve("t", "m2") is Reservation.NO_CREDIT
    await redis.zincrby("{wa}:held:t", -REMEMBERED_S, "m1")  # as if so long ago
    lapsed = await database.tenant("t")
    assert (lapsed and lapsed.reserved, await database.reserve("t", "m2")) == (0, Reservation.RESERVED)


async def test_the_log_keeps_the_latest_and_the_beginning_of_texts(redis: Redis, database: Database) -> None:
    """The log has a length that it does not much exceed, and texts are cut."""
    async with redis.pipeline(transaction=False) as batch:
        for _ in range(LOG_LENGTH + 500):
            batch.xadd("{wa}:log", {"message": "old"})
        await batch.execute()
    await database.settle(record(ANSWERED, text="ü" * (LOGGED_CHARACTERS + 1)))
    assert LOG_LENGTH <= await redis.xlen("{wa}:log") < LOG_LENGTH + 200
    ((_, latest),) = await redis.xrevrange("{wa}:log", count=1)
    assert latest["text"] == "ü" * LOGGED_CHARACTERS
    assert (latest["tenant"], latest["chatId"], latest["received"]) == (
        "t",
        "15551234567@c.us",
        "1764000000000",
    )


async def test_a_full_memory_does_not_keep_messages_from_ending(redis: Redis, database: Database) -> None:
    """Redis at its memory's limit still reserves and settles: to work the queue off is what empties it."""
    await redis.config_set("maxmemory", 1)
    try:
        assert await database.reserve("t", "m1") is Reservation.RESERVED
        await database.settle(record(ANSWERED))
        account = await database.save_tenant("t", credits=2, owner_email=None)
    finally:
        await redis.config_set("maxmemory", 0)
    assert (account.credits, account.used) == (2, 1)
