"""Health as a registry: whoever opens a dependency adds its probe, and the report cannot forget one.

However many ask, one probing is under way at a time and all of them get its report; however the probes hang,
the report is there when their time is over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from service.telemetry.alarms import Alarm, Alarms, NoAlarms
from service.telemetry.logs import Log

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
    failure_message: str = ""
    alarm: Alarm | None = None


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
        self,
        log: Log,
        alarms: Alarms | None = None,
        *,
        timeout_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._alarms = alarms or NoAlarms()
        self._timeout_s = timeout_s
        self._clock = clock
        self._probes: list[Probe] = []
        self._conditions: list[Callable[[], bool]] = []
        self._running: dict[str, asyncio.Task[object]] = {}
        """By the probe's name; one that does not even end when it is cancelled is not begun again."""
        self._probing: asyncio.Task[HealthReport] | None = None
        self._latest: HealthReport | None = None
        self._latest_at = 0.0

    def probe(
        self,
        name: str,
        check: Check,
        *,
        critical: bool,
        failure_message: str = "Dependency is down",
        alarm: Alarm | None = None,
    ) -> None:
        """Add a service probed by *check*; when it is down, *failure_message* and *alarm* tell of it."""
        self._probes.append(Probe(name, critical, check, failure_message, alarm))

    def declare(self, name: str, state: State, *, critical: bool = False) -> None:
        """Add a service whose *state* is known without probing."""
        self._probes.append(Probe(name, critical, state))

    def degrade_while(self, condition: Callable[[], bool]) -> None:
        """Call the whole degraded while *condition* holds, though no service is to blame."""
        self._conditions.append(condition)

    async def report(self) -> HealthReport:
        """The present state, at most `CACHE_S` old."""
        if self._latest is not None and self._clock() - self._latest_at < CACHE_S:
            return self._latest
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe_all())
        # Shielded: the one who asked may go away, the others still wait.
        return await asyncio.shield(self._probing)

    async def _probe_all(self) -> HealthReport:
        try:
            findings = await asyncio.gather(*(self._find(probe) for probe in self._probes))
            self._latest_at = self._clock()
            self._latest = HealthReport(
                status=self._overall(list(zip(self._probes, findings, strict=True))),
                timestamp=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                services={probe.name: found for probe, found in zip(self._probes, findings, strict=True)},
            )
            return self._latest
        finally:
            self._probing = None

    def _overall(self, found: list[tuple[Probe, Finding]]) -> str:
        if any(probe.critical and finding.state is not State.UP for probe, finding in found):
            return "unhealthy"
        is_down = any(finding.state is State.DOWN for _, finding in found)
        return "degraded" if is_down or any(condition() for condition in self._conditions) else "healthy"

    async def _find(self, probe: Probe) -> Finding:
        if isinstance(probe.check, State):
            return Finding(probe.check)
        started = self._clock()
        error = await self._check(probe.name, probe.check)
        if error:
            self._log.error(probe.failure_message, service=probe.name, exc_info=error)
            if probe.alarm:
                self._alarms.raise_alarm(probe.alarm, service=probe.name, error=type(error).__name__)
        return Finding(State.DOWN if error else State.UP, round((self._clock() - started) * 1000))

    async def _check(self, name: str, check: Check) -> BaseException | None:
        """What is wrong. Whatever a probe raises says "down"; one that hangs is cancelled and left behind."""
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(_awaited(check))
        await asyncio.wait([running], timeout=self._timeout_s)
        if not running.done():
            running.cancel()
            return TimeoutError(f"no answer within {self._timeout_s:g} s")
        return asyncio.CancelledError() if running.cancelled() else running.exception()


async def _awaited(check: Check) -> object:
    return await check()
