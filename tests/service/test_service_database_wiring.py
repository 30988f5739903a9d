"""Which database a process opens, as its settings say."""

from __future__ import annotations

from contextlib import AsyncExitStack

from database_kit import DEPLOY_KEY, record, running_convex
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis

from service.accounts.database import MessageOutcome, Reservation
from service.accounts.measured_database import DatabaseMetrics
from service.settings import WorkerSettings
from service.wiring.outside import gate_database, open_database, open_store

ANSWERED = record(MessageOutcome.ANSWERED)


async def test_redis_holds_the_data_where_no_convex_is_configured(redis_url: str) -> None:
    """Without a Convex URL accounts are in Redis and start with BILLING_CREDITS, and calls are measured."""
    settings = WorkerSettings(redis_url=SecretStr(redis_url), billing_credits=0)
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack, Redis.from_url(redis_url, protocol=2) as redis:
        database = open_database(settings, open_store(settings, stack), stack, DatabaseMetrics(registry))
        assert await database.reserve("t", "m1") is Reservation.NO_CREDIT
        assert await redis.hget("{wa}:tenant:t", "credits") == b"0"
    assert registry.get_sample_value("database_query_duration_seconds_count", {"operation": "reserve"}) == 1


async def test_convex_holds_the_data_where_it_is_configured(redis_url: str) -> None:
    """With a Convex URL and key the accounts are there, and nothing is in Redis."""
    with running_convex() as convex:
        settings = WorkerSettings(
            redis_url=SecretStr(redis_url),
            next_public_convex_url=convex.url,
            convex_deploy_key=SecretStr(DEPLOY_KEY),
        )
        async with AsyncExitStack() as stack, Redis.from_url(redis_url, protocol=2) as redis:
            store = open_store(settings, stack)
            await open_database(settings, store, stack, DatabaseMetrics(CollectorRegistry())).settle(ANSWERED)
            assert await redis.dbsize() == 0
        assert convex.tables.tenants["t"]["used"] == 1


async def test_a_gate_uses_no_tenants_credit(redis_url: str) -> None:
    """A gate's accounts are in Redis under its own prefix, also beside a Convex, and have no limit."""
    settings = WorkerSettings(
        redis_url=SecretStr(redis_url),
        release="r-1",
        next_public_convex_url="http://127.0.0.1:1",
        billing_credits=0,
    )
    async with AsyncExitStack() as stack, Redis.from_url(redis_url, protocol=2) as redis:
        store = open_store(settings, stack)
        database = gate_database(settings, store, DatabaseMetrics(CollectorRegistry()))
        assert await database.reserve("t", "m1") is Reservation.RESERVED
        assert await redis.keys("*:tenant:*") == [b"{wa}:gate:r-1:tenant:t"]
