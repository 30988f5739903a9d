"""Measures a database: every call's time, what was slow, and what failed, in the runbook's words."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.accounts.database import Database, DatabaseFailed, MessageRecord, Reservation, Tenant
from service.telemetry.logs import Log

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

T = TypeVar("T")


class DatabaseMetrics:
    """What both processes count of their database. Operations are the names of `Database`'s functions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "database_query_duration_seconds",
            "Time of a call of the database, failed ones included",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.slow = Counter(
            "database_slow_queries_total",
            "Calls of the database that took longer than DATABASE_SLOW_MS",
            ["operation"],
            registry=registry,
        )
        self.failed = Counter(
            "database_query_failures_total",
            "Calls of the database that failed",
            ["operation"],
            registry=registry,
        )
        for operation in ("reserve", "settle"):  # a first failure that begins at 1 is no increase
            self.failed.labels(operation)


class MeasuredDatabase:
    """See `Database`: *database*, measured. Logs the operation, never its arguments."""

    def __init__(self, database: Database, metrics: DatabaseMetrics, log: Log, *, slow_ms: int) -> None:
        self._database = database
        self._metrics = metrics
        self._log = log
        self._slow_ms = slow_ms

    async def ping(self) -> None:
        """See `Database.ping`."""
        await self._measure("ping", self._database.ping())

    async def reserve(self, tenant: str, message: str) -> Reservation:
        """See `Database.reserve`."""
        return await self._measure("reserve", self._database.reserve(tenant, message))

    async def settle(self, record: MessageRecord) -> None:
        """See `Database.settle`."""
        await self._measure("settle", self._database.settle(record))

    async def tenant(self, tenant: str) -> Tenant | None:
        """See `Database.tenant`."""
        return await self._measure("tenant", self._database.tenant(tenant))

    async def tenants(self) -> list[Tenant]:
        """See `Database.tenants`."""
        return await self._measure("tenants", self._database.tenants())

    async def save_tenant(
        self,
        tenant: str,
        *,
        credits: int | None,  # noqa: A002 - see `Database.save_tenant`
        owner_email: str | None,
    ) -> Tenant:
        """See `Database.save_tenant`."""
        saving = self._database.save_tenant(tenant, credits=credits, owner_email=owner_email)
        return await self._measure("save_tenant", saving)

    async def _measure(self, operation: str, call: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await call
        except DatabaseFailed as error:
            self._metrics.failed.labels(operation).inc()
            self._log.error("Failed to query database", operation=operation, reason=str(error))
            raise
        finally:
            self._observe(operation, time.perf_counter() - started)

    def _observe(self, operation: str, duration_s: float) -> None:
        self._metrics.seconds.labels(operation).observe(duration_s)
        if duration_s * 1000 > self._slow_ms:
            self._metrics.slow.labels(operation).inc()
            self._log.warning("Slow database query", operation=operation, durationMs=round(duration_s * 1000))
