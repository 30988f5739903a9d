"""Measures the way to Redis: how long calls take, how many wait, what fails, what is open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.storage.store import Argument, Script, Store, StoreAway, StoreError, StoreFull, StreamEntries

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class StoreMetrics:
    """What both processes count of their Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "redis_call_duration_seconds",
            "Time of a call of Redis that was answered, its wait for the connection included",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.failures = Counter(
            "redis_call_failures_total", "Calls of Redis that failed", ["reason"], registry=registry
        )
        self.waiting = Gauge(
            "redis_calls_waiting", "Calls that wait for the connection or for their answer", registry=registry
        )
        self.connections = Gauge(
            "redis_connections", "Open connections to Redis (0 over REST)", registry=registry
        )


class MeasuredStore:
    """See `Store`: *store*, measured. Reads that wait for messages are not: they are meant to take long."""

    def __init__(self, store: Store, metrics: StoreMetrics) -> None:
        self._store = store
        self._waiting = 0
        self._failures = metrics.failures
        self._observe = metrics.seconds.observe
        metrics.waiting.set_function(lambda: self._waiting)

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """See `Store.call`."""
        return self._measure(self._store.call(*command))

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        at_once: bool = False,
    ) -> asyncio.Future[Any]:
        """See `Store.run`."""
        return self._measure(self._store.run(script, keys, arguments, at_once=at_once))

    async def read_group(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int, block_ms: int
    ) -> list[StreamEntries]:
        """See `Store.read_group`."""
        try:
            return await self._store.read_group(group, consumer, streams, count=count, block_ms=block_ms)
        except StoreError as error:
            self._count(error)
            raise

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._store.aclose()

    def _measure(self, call: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self._waiting += 1
        call.add_done_callback(partial(self._note, time.perf_counter()))
        return call

    def _note(self, started: float, call: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if call.cancelled():
            return
        error = call.exception()
        if error is None:
            self._observe(time.perf_counter() - started)
        elif isinstance(error, StoreError):
            self._count(error)

    def _count(self, error: StoreError) -> None:
        if isinstance(error, StoreAway):
            reason = "away"
        else:
            reason = "full" if isinstance(error, StoreFull) else "refused"
        self._failures.labels(reason).inc()
