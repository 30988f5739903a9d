"""Health: the runbook's JSON, from probes that cannot hang, be forgotten or be flooded."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import structlog
from structlog.testing import LogCapture

from service.health import Health, State
from service.probes import configured, http_probe, sentry_state


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


def build(logs: LogCapture | None = None, clock: Clock | None = None, timeout_s: float = 2.0) -> Health:
    """An empty registry."""
    log = structlog.wrap_logger(None, processors=[logs or LogCapture()])
    return Health(log, timeout_s=timeout_s, clock=clock or Clock())


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
    async with asyncio.timeout(2):
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


async def test_failure_is_logged_in_the_runbooks_words() -> None:
    """The line names the service and the message given for it."""
    logs = LogCapture()
    health = build(logs)
    health.probe("database", broken, critical=True, failure_message="Failed to query database")
    await health.report()
    (line,) = logs.entries
    assert (line["event"], line["service"]) == ("Failed to query database", "database")


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


@pytest.mark.parametrize(
    ("dsn", "state"),
    [
        (None, State.NOT_CONFIGURED),
        ("", State.NOT_CONFIGURED),
        ("https://key@o1.ingest.sentry.io/42", State.CONFIGURED),
        ("http://key@sentry:9000/path/42", State.CONFIGURED),
        ("https://o1.ingest.sentry.io/42", State.DOWN),
        ("https://key@o1.ingest.sentry.io/", State.DOWN),
        ("nonsense", State.DOWN),
        ("https://key@[::1/42", State.DOWN),
    ],
)
def test_sentry_is_judged_by_its_dsn(dsn: str | None, state: State) -> None:
    """A DSN that cannot work is down, and never an error."""
    assert sentry_state(dsn) is state


def test_configured_needs_all_its_values() -> None:
    """Half a configuration is none."""
    assert (configured("a", "b"), configured("a", None)) == (State.CONFIGURED, State.NOT_CONFIGURED)
