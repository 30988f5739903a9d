"""A real Redis for the tests that need one, and the service's parts built on it or without it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis as blocking_redis
from redis.asyncio import Redis
from service_kit import NO_REDIS, Fixture, Processes, Stub, build_web, running_stub
from store_kit import TOKEN, running_upstash
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from contracts.durability import DURABLE, as_arguments
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.storage.upstash_store import UpstashStore

REDIS_IMAGE = "runbook/redis:debian12"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis that syncs each write: RUNBOOK_TEST_REDIS_URL's, or one in a container."""
    if url := os.environ.get("RUNBOOK_TEST_REDIS_URL"):
        yield url
        return
    testcontainers_config.ryuk_disabled = True  # its image cannot be pulled everywhere
    command = ["redis-server", *as_arguments({**DURABLE, "protected-mode": "no"})]
    container = (
        DockerContainer(os.environ.get("RUNBOOK_TEST_REDIS_IMAGE", REDIS_IMAGE))
        .with_command(command)
        .with_exposed_ports(6379)
        .waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    )
    with container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with blocking_redis.Redis.from_url(redis_server) as client:
        client.flushall()
        client.script_flush()
    return redis_server


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis."""
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    store = RedisStore(redis_url, timeout_s=30)
    yield store
    await store.aclose()


@pytest.fixture(params=["redis", "upstash"])
async def either_store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis, by either way."""
    if request.param == "redis":
        store: Store = RedisStore(redis_url, timeout_s=30)
        yield store
        await store.aclose()
    else:
        async with running_upstash(redis_url, []) as url:
            store = UpstashStore(url, TOKEN, timeout_s=30)
            yield store
            await store.aclose()


@pytest.fixture
async def web() -> AsyncIterator[Fixture]:
    """The web application without Redis, its admissions fakes."""
    store = RedisStore(NO_REDIS, timeout_s=0.5)
    yield build_web(store)
    await store.aclose()


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A WAHA that records what is sent."""
    with running_stub() as stub:
        yield stub


@pytest.fixture
def processes(tmp_path: Path, redis_url: str) -> Iterator[Processes]:
    """Starts processes of the service on the empty Redis."""
    processes = Processes(tmp_path, redis_url)
    yield processes
    processes.end()
