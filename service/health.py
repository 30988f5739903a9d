"""Health as a registry: whoever opens a dependency adds its probe, and the report cannot forget one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from service.logs import Log

CACHE_S = 1.0
"""A flood of health requests costs the dependencies one probe a second."""

Check = Callable[[], Awaitable[object]]
"""Returns if the dependency is up, raises if it is not."""


class State(StrEnum):
    """The states that a service can have in the report."""

    UP = "up"
    DOWN = "down"
    CONFIGURED = "configured"
    NOT_CONFIGURED = "not_configured"


@dataclass(frozen=True)
class Probe:
    """How one service's state is found: by a check, or as declared where a check would have side effects."""

    name: str
    critical: bool
    check: Check | State
    failure_message: str


@dataclass(frozen=True)
class Finding:
    """One service's state, and how long the probe took (ms) if there was one."""

    state: State
    response_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The service's entry in the report."""
        timing = {} if self.response_ms is None else {"responseTime": self.response_ms}
        return {"status": self.state.value, **timing}


@dataclass(frozen=True)
class HealthReport:
    """What `GET /api/health` says."""

    status: str
    timestamp: str
    services: dict[str, Finding]

    @property
    def http_status(self) -> int:
        """200 while every critical service is up."""
        return 503 if self.status == "unhealthy" else 200

    def as_json(self) -> dict[str, Any]:
        """The runbook's JSON."""
        services = {name: finding.as_json() for name, finding in self.services.items()}
        return {"status": self.status, "timestamp": self.timestamp, "services": services}


class Health:
    """The registry. Probes run concurrently, each within *timeout_s*."""

    def __init__(
        self, log: Log, *, timeout_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._clock = clock
        self._probes: list[Probe] = []
        self._probing = asyncio.Lock()
        self._latest: HealthReport | None = None
        self._latest_at = 0.0

    def probe(
        self, name: str, check: Check, *, critical: bool, failure_message: str = "Dependency is down"
    ) -> None:
        """Add a service that is probed by *check*; *failure_message* is logged when it is down."""
        self._probes.append(Probe(name, critical, check, failure_message))

    def declare(self, name: str, state: State, *, critical: bool = False) -> None:
        """Add a service whose *state* is known without probing."""
        self._probes.append(Probe(name, critical, state, ""))

    async def report(self) -> HealthReport:
        """The present state, at most `CACHE_S` old."""
        async with self._probing:
            if self._latest is None or self._clock() - self._latest_at >= CACHE_S:
                self._latest = await self._probe_all()
                self._latest_at = self._clock()
            return self._latest

    async def _probe_all(self) -> HealthReport:
        findings = await asyncio.gather(*(self._find(probe) for probe in self._probes))
        return HealthReport(
            status=_overall(list(zip(self._probes, findings, strict=True))),
            timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            services={probe.name: finding for probe, finding in zip(self._probes, findings, strict=True)},
        )

    async def _find(self, probe: Probe) -> Finding:
        if isinstance(probe.check, State):
            return Finding(probe.check)
        started = self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                await probe.check()
            state = State.UP
        except Exception as error:  # whatever a probe raises, it says "down" and must not end the report
            self._log.error(probe.failure_message, service=probe.name, exc_info=error)
            state = State.DOWN
        return Finding(state, round((self._clock() - started) * 1000))


def _overall(found: list[tuple[Probe, Finding]]) -> str:
    if any(probe.critical and finding.state is not State.UP for probe, finding in found):
        return "unhealthy"
    return "degraded" if any(finding.state is State.DOWN for _, finding in found) else "healthy"
