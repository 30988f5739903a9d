"""A measured database counts and logs each call in the runbook's words, and passes on what it says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from database_kit import record
from prometheus_client import CollectorRegistry
from structlog.testing import LogCapture

from service.accounts.database import DatabaseFailed, MessageOutcome, MessageRecord, Reservation, Tenant
from service.accounts.measured_database import DatabaseMetrics, MeasuredDatabase

ACCOUNT = Tenant("t", credits=3, reserved=0, used=1, owner_email=None)
CALLS = {
    "ping": lambda database: database.ping(),
    "reserve": lambda database: database.reserve("t", "m1"),
    "settle": lambda database: database.settle(record(MessageOutcome.ANSWERED)),
    "tenant": lambda database: database.tenant("t"),
    "tenants": lambda database: database.tenants(),
    "save_tenant": lambda database: database.save_tenant("t", credits=3, owner_email="a@example.com"),
}


@dataclass
class Fake:
    """A database that takes *pause_s* and then answers, or fails."""

    failure: Exception | None = None
    pause_s: float = 0

    async def _answer(self, value: Any) -> Any:
        await asyncio.sleep(self.pause_s)
        if self.failure:
            raise self.failure
        return value

    async def ping(self) -> None:
        await self._answer(None)

    async def reserve(self, tenant: str, message: str) -> Reservation:
        return await self._answer(Reservation.RESERVED)

    async def settle(self, record: MessageRecord) -> None:
        await self._answer(None)

    async def tenant(self, tenant: str) -> Tenant | None:
        return await self._answer(ACCOUNT)

    async def tenants(self) -> list[Tenant]:
        return await self._answer([ACCOUNT])

    async def save_tenant(self, tenant: str, **_: object) -> Tenant:
        return await self._answer(ACCOUNT)


class Measured:
    """A measured fake, with what it counted and logged."""

    def __init__(self, fake: Fake, *, slow_ms: int = 60_000) -> None:
        self.registry, self.logs = CollectorRegistry(), LogCapture()
        log = structlog.wrap_logger(None, processors=[self.logs])
        self.database = MeasuredDatabase(fake, DatabaseMetrics(self.registry), log, slow_ms=slow_ms)

    def count(self, metric: str, operation: str) -> float | None:
        return self.registry.get_sample_value(metric, {"operation": operation})


@pytest.mark.parametrize("operation", CALLS)
async def test_each_call_is_measured_under_its_name(operation: str) -> None:
    """A call gives what the database gave, is observed once under its name, and logs nothing."""
    measured, plain = Measured(Fake()), Fake()
    assert await CALLS[operation](measured.database) == await CALLS[operation](plain)
    assert measured.count("database_query_duration_seconds_count", operation) == 1
    assert measured.count("database_slow_queries_total", operation) is None
    assert not measured.logs.entries


@pytest.mark.parametrize("operation", CALLS)
async def test_a_failure_is_told_without_arguments(operation: str) -> None:
    """A failed call is counted and logged as the runbook words it, with the operation and no argument."""
    measured = Measured(Fake(DatabaseFailed("Convex is away")))
    with pytest.raises(DatabaseFailed, match="Convex is away"):
        await CALLS[operation](measured.database)
    assert measured.logs.entries == [
        {
            "event": "Failed to query database",
            "operation": operation,
            "reason": "Convex is away",
            "log_level": "error",
        }
    ]
    assert measured.count("database_query_failures_total", operation) == 1
    assert measured.count("database_query_duration_seconds_count", operation) == 1


async def test_a_slow_query_is_counted_and_warned_of() -> None:
    """A call above the limit is a warning with its time, whether it failed or not."""
    measured = Measured(Fake(pause_s=0.02), slow_ms=10)
    await measured.database.ping()
    (line,) = measured.logs.entries
    assert (line["event"], line["log_level"], line["operation"]) == ("Slow database query", "warning", "ping")
    assert line["durationMs"] >= 20
    assert measured.count("database_slow_queries_total", "ping") == 1
