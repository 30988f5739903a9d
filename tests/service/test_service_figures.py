"""Metrics: what stands in Redis is read for each scrape, within its time whatever Redis does; fit buckets."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis
from service_kit import NO_REDIS, build_web, call

from contracts.targets import read_targets
from service.lanes import LIVE, gate_lane
from service.storage.known import known_period_s
from service.storage.measured_store import MeasuredStore, StoreMetrics
from service.storage.redis_store import RedisStore
from service.storage.store import Script, StoreAway, StoreRefused
from service.telemetry.figures import FigureMetrics, Figures, Tenants
from service.telemetry.metrics import REPLY_BUCKETS_S, REQUEST_BUCKETS_S

GATE = gate_lane("r-1")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """A store on an empty Redis."""
    store = RedisStore(redis_url, timeout_s=30)
    yield store
    await store.aclose()


async def scraped(store: RedisStore) -> dict[str, float]:
    """The figures as Prometheus reads them."""
    registry = CollectorRegistry()
    await Figures(store, (LIVE, GATE), FigureMetrics(registry)).refresh()
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (line.split(" ") for line in lines if line[0] != "#")}


async def test_figures_tell_how_the_queue_stands(store: RedisStore, redis: Redis) -> None:
    """Depth, age of the oldest, dead letters and unknown outcomes are told for each lane."""
    old_ms = int(time.time() * 1000) - 90_000
    await redis.xadd(LIVE.stream, {"event": "x" * 1000}, id=f"{old_ms}-0")
    await redis.xadd(LIVE.stream, {"event": "y"})
    await redis.xadd(GATE.stream, {"event": "z"})
    for _ in range(3):
        await redis.xadd(LIVE.dead, {"event": "d"})
    await redis.xadd(LIVE.unknown, {"event": "u"})
    figures = await scraped(store)
    assert 90 <= figures.pop('queue_age_seconds{lane="live"}') < 95
    assert 0 <= figures.pop('queue_age_seconds{lane="gate"}') < 5
    assert {name: value for name, value in figures.items() if not name.startswith("redis_")} == {
        'queue_depth{lane="live"}': 2,
        'queue_depth{lane="gate"}': 1,
        'dead_letters{lane="live"}': 3,
        'dead_letters{lane="gate"}': 0,
        'unknown_outcomes{lane="live"}': 1,
        'unknown_outcomes{lane="gate"}': 0,
        "active_tenants": 0,
    }


async def test_empty_queue_has_no_age(store: RedisStore) -> None:
    """Where nothing waits, all figures but those of Redis's memory are 0."""
    figures = await scraped(store)
    assert {value for name, value in figures.items() if not name.startswith("redis_")} == {0}


async def test_figures_tell_what_the_memory_bears(store: RedisStore, redis: Redis) -> None:
    """What is used, what there is, what stays of a message, and how many a second may come for ever."""
    unbounded = await scraped(store)
    assert unbounded["redis_memory_used_bytes"] > 100_000
    assert unbounded["redis_memory_max_bytes"] == unbounded["redis_sustained_messages_per_second"] == math.inf
    assert unbounded["redis_bytes_per_message"] == 0
    await redis.hset(f"{LIVE.known}:{int(time.time()) // known_period_s(0)}:000", "x", "a")
    await redis.config_set("maxmemory", "1gb")
    try:
        bounded = await scraped(store)
    finally:
        await redis.config_set("maxmemory", "0")
    assert bounded["redis_memory_max_bytes"] == 2**30
    assert 20 < bounded["redis_sustained_messages_per_second"] < 60
    assert 50 < bounded["redis_bytes_per_message"] < 300


async def test_active_tenants_are_those_of_the_last_quarter_hour(store: RedisStore) -> None:
    """Each tenant counts once while its latest message is at most 15 minutes old."""
    tenants, now_ms = Tenants(store), int(time.time() * 1000)
    for tenant, minutes_ago in [("a", 1), ("b", 14), ("c", 16), ("a", 0)]:
        tenants.note(tenant, now_ms - minutes_ago * 60_000)
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    assert (await scraped(store))["active_tenants"] == 2


async def test_metrics_answer_while_redis_hangs() -> None:
    """With a Redis that accepts and never answers, /metrics does not wait for it and shows -1."""
    server = await asyncio.start_server(lambda reader, _writer: reader.read(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = RedisStore(f"redis://127.0.0.1:{port}/0", timeout_s=60)
    async with asyncio.timeout(20):
        answer = await call(build_web(store).app, "GET", "/metrics")
    await store.aclose()
    server.close()
    assert answer is not None
    text = answer.body.decode()
    assert 'queue_depth{lane="live"} -1.0' in text
    assert 'queue_age_seconds{lane="live"} -1.0' in text
    assert "active_tenants -1.0" in text
    assert "redis_memory_used_bytes -1.0" in text


def test_every_limit_is_a_buckets_bound() -> None:
    """A percentile is exact where a limit lies: the limits of targets.toml are bounds of the histograms."""
    targets = read_targets()
    requests = {targets.load.webhook_p95_ms / 1000, targets.smoke.answer_s, targets.health.answer_s, 1}
    replies = {targets.load.reply_p95_ms / 1000, targets.load.reply_within_s, targets.smoke.reply_within_s}
    assert requests <= set(REQUEST_BUCKETS_S)
    assert replies <= set(REPLY_BUCKETS_S)
    for bounds in (REQUEST_BUCKETS_S, REPLY_BUCKETS_S):
        assert list(bounds) == sorted(set(bounds))


async def test_store_is_measured(store: RedisStore) -> None:
    """Answered calls are timed, and connections and calls that wait are counted while they do."""
    registry = CollectorRegistry()
    metrics = StoreMetrics(registry)
    metrics.connections.set_function(store.open_connections)
    measured = MeasuredStore(store, metrics)
    assert registry.get_sample_value("redis_connections") == 0
    waiting = asyncio.gather(*(measured.call("PING") for _ in range(7)))
    await asyncio.sleep(0)
    assert registry.get_sample_value("redis_calls_waiting") == 7
    assert await waiting == [b"PONG"] * 7
    assert registry.get_sample_value("redis_calls_waiting") == 0
    assert registry.get_sample_value("redis_call_duration_seconds_count") == 7
    assert registry.get_sample_value("redis_connections") == 1


async def test_failed_calls_are_counted_by_reason(store: RedisStore) -> None:
    """What Redis refuses and what never reaches it are told apart, raised on, and wait no longer."""
    registry = CollectorRegistry()
    metrics = StoreMetrics(registry)
    with pytest.raises(StoreRefused):
        await MeasuredStore(store, metrics).run(Script("bad", b"return nosuch()", "0" * 40), [], [])
    away = RedisStore(NO_REDIS, timeout_s=1)
    measured = MeasuredStore(away, metrics)
    with pytest.raises(StoreAway):
        await measured.call("PING")
    with pytest.raises(StoreAway):
        await measured.read_group("g", "c", ["s"], count=1, block_ms=10)
    await away.aclose()
    counts = {
        reason: registry.get_sample_value("redis_call_failures_total", {"reason": reason})
        for reason in ("refused", "away")
    }
    assert counts == {"refused": 1, "away": 2}
    assert registry.get_sample_value("redis_calls_waiting") == 0
