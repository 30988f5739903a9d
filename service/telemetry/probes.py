"""How each outside service is probed for the health report: cheaply and without side effects."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

import httpx
from sentry_sdk.utils import BadDsn, Dsn

from service.telemetry.health import Check, Health, State

REMEMBERED_S = 30.0
"""Sentry is far away and not critical: the report need not wait for it each time."""

FRESH_S = 1.0
"""What is older is asked again, without waiting: two releases that are asked for a while say the same."""

REACH_S = 1.0


def http_probe(client: httpx.AsyncClient, path: str) -> Check:
    """A check that *path* at *client*'s base URL answers 2xx."""

    async def check() -> None:
        (await client.get(path)).raise_for_status()

    return check


def configured(*values: object) -> State:
    """`configured` if all *values* are given."""
    return State.CONFIGURED if all(values) else State.NOT_CONFIGURED


def add_sentry(health: Health, dsn: str) -> None:
    """Sentry's entry: whether its host can be reached; `down` for a DSN that the SDK would not take."""
    if not dsn:
        health.declare("sentry", State.NOT_CONFIGURED)
        return
    try:
        parsed = Dsn(dsn)
    except (BadDsn, ValueError):
        health.declare("sentry", State.DOWN)
        return
    reach = reach_probe(parsed.host, parsed.port, tls=parsed.scheme == "https")
    health.probe("sentry", Remembered(reach, REMEMBERED_S), critical=False)


def reach_probe(host: str, port: int, *, tls: bool) -> Check:
    """A check that *host* takes connections, its certificate being right."""

    async def check() -> None:
        async with asyncio.timeout(REACH_S):
            context = ssl.create_default_context() if tls else None
            _, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.close()

    return check


class Remembered:
    """A check whose result, good or bad, is waited for once in a while, and else renewed for the next one."""

    def __init__(self, check: Check, for_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._for_s = for_s
        self._clock = clock
        self._checked_at = -for_s
        self._error: Exception | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Raise what the check raised."""
        age_s = self._clock() - self._checked_at
        if age_s >= self._for_s:
            await self._renew()
        elif age_s >= FRESH_S and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew())
        if self._error:
            raise self._error.with_traceback(None)  # it would grow each time

    async def _renew(self) -> None:
        self._error = await self._asked()
        self._checked_at = self._clock()

    async def _asked(self) -> Exception | None:
        try:
            await self._check()
        except Exception as error:
            return error
        return None
