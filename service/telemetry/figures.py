"""The figures of `/metrics` that stand in Redis, not in a process: read for each scrape, in one go."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from service.lanes import LIVE, Lane
from service.storage.last_seen import LastSeen
from service.storage.memory import MemoryView, view_memory
from service.storage.store import Script, Store, StoreError

TIMEOUT_S = 1.0
ACTIVE_MS = 15 * 60 * 1000
AWAY = -1
"""What a figure is while Redis is away."""

_NO_MEMORY_VIEW = MemoryView(AWAY, AWAY, AWAY, AWAY, AWAY)

_FIGURES = Script.load("figures")


class Tenants(LastSeen):
    """When the latest message of each tenant came."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, "{wa}:tenants-seen", most=10_000)


class FigureMetrics:
    """The gauges. Each web process tells the same of the live lane: take the greatest, not the sum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, labels: Sequence[str] = ("lane",)) -> Gauge:
            return Gauge(name, f"{meaning}, -1 while Redis is away", labels, registry=registry)

        self.depth = gauge("queue_depth", "Messages waiting or in work")
        self.age_s = gauge("queue_age_seconds", "Age of the oldest message waiting or in work")
        self.dead = gauge("dead_letters", "Messages given up that nobody has dealt with")
        self.unknown = gauge("unknown_outcomes", "Replies of which nobody knows whether they were sent")
        self.active_tenants = gauge("active_tenants", "Tenants with a message in the last 15 minutes", ())
        self.used_bytes = gauge("redis_memory_used_bytes", "Redis's memory in use", ())
        self.max_bytes = gauge("redis_memory_max_bytes", "Redis's maxmemory, +Inf where it has none", ())
        self.kept_bytes = gauge("redis_bytes_per_message", "Kept of each known message, 0 if none is", ())
        self.sustained_per_s = gauge(
            "redis_sustained_messages_per_second", "Messages a second that the memory bears for ever", ()
        )

    def set_memory(self, memory: MemoryView) -> None:
        """Show *memory*."""
        self.used_bytes.set(memory.used_bytes)
        self.max_bytes.set(math.inf if memory.max_bytes is None else memory.max_bytes)
        self.kept_bytes.set(memory.bytes_per_message or 0)
        self.sustained_per_s.set(math.inf if memory.sustained_per_s is None else memory.sustained_per_s)


class Figures:
    """Reads them."""

    def __init__(self, store: Store, lanes: Sequence[Lane], metrics: FigureMetrics) -> None:
        self._store = store
        self._lanes = lanes
        self._tenants = Tenants(store)
        self._metrics = metrics

    async def refresh(self) -> None:
        """Set the gauges; within `TIMEOUT_S`, whatever Redis does."""
        now_ms = time.time_ns() // 1_000_000
        keys = [key for lane in self._lanes for key in (lane.stream, lane.dead, lane.unknown)]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                figures, active, memory = await asyncio.gather(
                    self._store.run(_FIGURES, keys, []),
                    self._tenants.count_since(now_ms - ACTIVE_MS),
                    view_memory(self._store, LIVE),
                )
        except (StoreError, TimeoutError):
            figures, active, memory = [AWAY] * 4 * len(self._lanes), AWAY, _NO_MEMORY_VIEW
        self._metrics.active_tenants.set(active)
        self._metrics.set_memory(memory)
        for number, lane in enumerate(self._lanes):
            self._set(lane.name.value, *figures[4 * number : 4 * number + 4], now_ms=now_ms)

    def _set(
        self, lane: str, depth: int, oldest: bytes | int | None, dead: int, unknown: int, *, now_ms: int
    ) -> None:
        metrics = self._metrics
        for gauge, value in ((metrics.depth, depth), (metrics.dead, dead), (metrics.unknown, unknown)):
            gauge.labels(lane).set(value)
        metrics.age_s.labels(lane).set(AWAY if depth == AWAY else _age_s(oldest, now_ms))


def _age_s(oldest: bytes | int | None, now_ms: int) -> float:
    """An entry's id begins with the time at which it was added."""
    if not isinstance(oldest, bytes):
        return 0
    return max(0, now_ms - int(oldest.partition(b"-")[0])) / 1000
