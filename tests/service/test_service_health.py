"""Health: the runbook's JSON, from probes that cannot hang, be forgotten or be flooded."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from contracts.health import SERVICES, shape_problems
from service.telemetry.alarms import Alarm, Alarms, NoAlarms
from service.telemetry.health import Check, Health, State
from service.telemetry.probes import configured, http_probe


async def fine() -> None:
    """Be up."""


async def broken() -> None:
    """Be down."""
    raise ConnectionError("a password")


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def build(
    logs: LogCapture | None = None,
    clock: Clock | None = None,
    timeout_s: float = 2.0,
    alarms: Alarms | None = None,
) -> Health:
    """An empty registry."""
    log = structlog.wrap_logger(None, processors=[logs or LogCapture()])
    return Health(log, alarms, timeout_s=timeout_s, clock=clock or Clock())


async def test_report_is_the_runbooks_json() -> None:
    """Status, timestamp and each service with its status, and its time where it was probed."""
    health = build()
    health.probe("database", fine, critical=True)
    health.declare("sentry", State.NOT_CONFIGURED)
    report = (await health.report()).as_json()
    timestamp = report.pop("timestamp")
    assert report == {
        "status": "healthy",
        "services": {"database": {"status": "up", "responseTime": 0}, "sentry": {"status": "not_configured"}},
    }
    assert len(timestamp) == len("2026-01-01T00:00:00.000Z")
    assert timestamp.endswith("Z")


@pytest.mark.parametrize(
    ("critical", "other", "status", "http_status"),
    [
        (fine, State.CONFIGURED, "healthy", 200),
        (fine, State.NOT_CONFIGURED, "healthy", 200),
        (fine, State.DOWN, "degraded", 200),
        (broken, State.CONFIGURED, "unhealthy", 503),
        (broken, State.DOWN, "unhealthy", 503),
    ],
)
async def test_status_follows_from_the_services(
    critical: object, other: State, status: str, http_status: int
) -> None:
    """A critical service that is down makes it unhealthy and 503, another one degraded and 200."""
    health = build()
    health.probe("redis", critical, critical=True)  # type: ignore[arg-type]
    health.declare("sentry", other)
    report = await health.report()
    assert (report.status, report.http_status) == (status, http_status)


async def test_critical_service_must_be_configured() -> None:
    """Without WAHA nothing can be answered: not configured is not up."""
    health = build()
    health.declare("waha", State.NOT_CONFIGURED, critical=True)
    assert (await health.report()).http_status == 503


async def test_hanging_probe_is_down_in_time() -> None:
    """A service that does not answer is down after the timeout."""
    health = build(timeout_s=0.05)
    health.probe("waha", asyncio.Event().wait, critical=True)
    async with asyncio.timeout(20):
        report = await health.report()
    assert report.services["waha"].state is State.DOWN


async def test_probes_run_side_by_side() -> None:
    """The report takes as long as its slowest probe: each may wait for the other here."""
    here, there = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        here.set()
        await there.wait()

    async def two() -> None:
        there.set()
        await here.wait()

    health = build()
    health.probe("one", one, critical=True)
    health.probe("two", two, critical=True)
    assert (await health.report()).status == "healthy"


async def test_flood_costs_one_probe_a_second() -> None:
    """Concurrent and quick requests share one probing; after a second there is a new one."""
    count = 0

    async def counted() -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0)

    clock = Clock()
    health = build(clock=clock)
    health.probe("redis", counted, critical=True)
    await asyncio.gather(*(health.report() for _ in range(100)))
    clock.now += 0.9
    await health.report()
    assert count == 1
    clock.now += 0.2
    await health.report()
    assert count == 2


async def test_a_thousand_share_one_hanging_probe() -> None:
    """While Redis hangs, many who ask at once cause one probe, and all have their answer in time."""
    count = 0

    async def hanging() -> None:
        nonlocal count
        count += 1
        await asyncio.Event().wait()

    logs = LogCapture()
    health = build(logs)
    health.probe("redis", hanging, critical=True)
    async with asyncio.timeout(30):
        reports = await asyncio.gather(*(health.report() for _ in range(1000)))
    assert (count, len(logs.entries)) == (1, 1)
    assert {report.http_status for report in reports} == {503}


async def test_probe_that_ignores_its_end_is_left_behind() -> None:
    """A probe that swallows its cancellation is down in time, and not begun again while it still hangs."""
    count, released = 0, asyncio.Event()

    async def deaf() -> None:
        nonlocal count
        count += 1
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    clock = Clock()
    health = build(clock=clock, timeout_s=0.05)
    health.probe("waha", deaf, critical=True)
    async with asyncio.timeout(20):
        first = await health.report()
        clock.now += 2
        second = await health.report()
    released.set()
    assert [report.services["waha"].state for report in (first, second)] == [State.DOWN, State.DOWN]
    assert count == 1


async def test_who_gives_up_leaves_the_others_their_report() -> None:
    """A client that hangs up does not end the probing that others wait for."""
    going = asyncio.Event()
    health = build()
    health.probe("redis", going.wait, critical=True)
    leaving, staying = asyncio.create_task(health.report()), asyncio.create_task(health.report())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    going.set()
    async with asyncio.timeout(20):
        assert (await staying).status == "healthy"


async def test_what_is_down_raises_its_alarm() -> None:
    """A probe that fails raises the alarm it was given, one that passes raises none."""
    raised: list[tuple[Alarm, dict[str, str | int | float]]] = []

    class Heard(NoAlarms):
        def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
            raised.append((alarm, fields))

    health = build(alarms=Heard())
    health.probe("database", broken, critical=True, alarm=Alarm.DATABASE_DOWN)
    health.probe("waha", fine, critical=True, alarm=Alarm.WAHA_UNREACHABLE)
    await health.report()
    assert raised == [(Alarm.DATABASE_DOWN, {"service": "database", "error": "ConnectionError"})]


async def test_failure_is_logged_in_the_runbooks_words() -> None:
    """The line names the service and the message given for it."""
    logs = LogCapture()
    health = build(logs)
    health.probe("database", broken, critical=True, failure_message="Failed to query database")
    await health.report()
    (line,) = logs.entries
    assert (line["event"], line["service"]) == ("Failed to query database", "database")


@pytest.mark.parametrize(
    ("check", "holds", "status"),
    [(fine, False, "healthy"), (fine, True, "degraded"), (broken, True, "unhealthy")],
)
async def test_condition_degrades_the_whole(check: Check, holds: bool, status: str) -> None:
    """It names no service, is never worse than degraded, and hides nothing worse."""
    health = build()
    health.probe("waha", check, critical=True)
    health.degrade_while(lambda: False)
    health.degrade_while(lambda: holds)
    report = await health.report()
    assert (report.status, report.http_status) == (status, 503 if status == "unhealthy" else 200)
    services = {service: {"status": "up"} for service in SERVICES}
    assert shape_problems({**report.as_json(), "services": services}) == []


@pytest.mark.parametrize(
    ("status", "up"), [(200, True), (204, True), (401, False), (404, False), (500, False)]
)
async def test_http_probe_wants_2xx(status: int, up: bool) -> None:
    """Only a success says that the service is up; it gets the path and the key."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.headers.get("x-api-key")))
        return httpx.Response(status)

    client = httpx.AsyncClient(
        base_url="http://waha", headers={"X-Api-Key": "key"}, transport=httpx.MockTransport(answer)
    )
    health = build()
    health.probe("waha", http_probe(client, "/ping"), critical=True)
    assert ((await health.report()).http_status == 200) is up
    assert asked == [("GET", "/ping", "key")]


def test_configured_needs_all_its_values() -> None:
    """Half a configuration is none."""
    assert (configured("a", "b"), configured("a", None)) == (State.CONFIGURED, State.NOT_CONFIGURED)
