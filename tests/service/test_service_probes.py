"""Probes: Sentry is judged by its DSN and by whether its host takes connections, and not asked each time."""

from __future__ import annotations

import asyncio
import socket

import pytest
import structlog
from structlog.testing import LogCapture

from service.telemetry.health import Finding, Health, State
from service.telemetry.probes import Remembered, add_sentry, reach_probe


async def sentry_finding(dsn: str) -> Finding:
    """What the report says of Sentry."""
    health = Health(structlog.wrap_logger(None, processors=[LogCapture()]))
    add_sentry(health, dsn)
    return (await health.report()).services["sentry"]


@pytest.mark.parametrize(
    ("dsn", "state"),
    [
        ("", State.NOT_CONFIGURED),
        ("https://o1.ingest.sentry.io/42", State.DOWN),
        ("https://key@o1.ingest.sentry.io/", State.DOWN),
        ("nonsense", State.DOWN),
        ("https://key@[::1/42", State.DOWN),
        ("https://key@host:port/42", State.DOWN),
    ],
)
async def test_dsn_that_cannot_work_is_down(dsn: str, state: State) -> None:
    """A DSN that the SDK would refuse is down without being probed, and never an error."""
    assert await sentry_finding(dsn) == Finding(state)


async def test_sentry_is_up_where_its_host_takes_connections() -> None:
    """The same DSN is up while something listens there, and down when nothing does."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dsn = f"http://key@127.0.0.1:{port}/42"
    up = await sentry_finding(dsn)
    server.close()
    await server.wait_closed()
    assert (up.state, (await sentry_finding(dsn)).state) == (State.UP, State.DOWN)


async def test_host_that_only_listens_is_not_reached_over_tls() -> None:
    """Without a handshake within a second an https host is not reached."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with asyncio.timeout(20):
            with pytest.raises(TimeoutError):
                await reach_probe("127.0.0.1", silent.getsockname()[1], tls=True)()


@pytest.mark.parametrize("fails", [True, False])
async def test_result_is_remembered(fails: bool) -> None:
    """While it is fresh the first result holds, good or bad; when it is old the check is waited for."""
    asked, now = 0, [0.0]

    async def check() -> None:
        nonlocal asked
        asked += 1
        if fails:
            raise ConnectionError

    remembered = Remembered(check, 30, lambda: now[0])
    failures = 0
    for now[0] in (0.0, 0.9, 31.0):
        try:
            await remembered()
        except ConnectionError:
            failures += 1
    assert (asked, failures) == (2, 3 if fails else 0)


async def test_what_is_remembered_is_renewed_for_the_next_time() -> None:
    """A rollback was refused in the half minute in which one release knew of it, and the live one did not."""
    now, is_away, asked = [0.0], False, 0

    async def check() -> None:
        nonlocal asked
        asked += 1
        if is_away:
            raise ConnectionError

    remembered = Remembered(check, 30, lambda: now[0])
    await remembered()
    is_away, now[0] = True, 0.5
    await remembered()
    assert asked == 1
    now[0] = 1.5
    await remembered()  # as it was: nobody waits
    await asyncio.sleep(0)
    assert asked == 2
    with pytest.raises(ConnectionError):
        await remembered()
