"""The outside services: each asked, without side effects, whether it is there and takes our key."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from runbook.checklist import clerk
from runbook.checklist.addresses import SANDBOX, redis_url
from runbook.checklist.asking import TIMEOUT_S, Http, bearer, line, object_of, place_of, refused
from runbook.checklist.asking import http as opened
from runbook.checklist.given import Given
from runbook.checklist.keys import sentry_dsn
from runbook.checklist.line import Line, Skipped
from runbook.checklist.resend import domains
from runbook.checklist.waha import sessions

GROUP = "services"
Ask = Callable[[Given, Http], Awaitable[str]]


@dataclass(frozen=True)
class Service:
    """A line: it needs the variables that it `uses` to be plausible; without the first it is not asked."""

    name: str
    uses: tuple[str, ...]
    ask: Ask


async def convex(given: Given, http: Http) -> str:
    """That a Convex backend answers there; its functions are not called."""
    answer = await http.ask("GET", given.reached(_value(given, "NEXT_PUBLIC_CONVEX_URL")) + "/version")
    if answer.status_code != httpx.codes.OK:
        raise refused(answer, "is a Convex deployment there?")
    return f"{place_of(answer)} answers, version {answer.text.strip()[:40] or 'unknown'}"


async def inngest(given: Given, http: Http) -> str:
    """What the live release says of its keys: an event key can be tried only by sending an event."""
    if given.live_url is None:
        raise Skipped("no release is live to be asked, and an event key is only proved by an event")
    answer = await http.ask("GET", f"{given.live_url}/api/inngest")
    if answer.status_code != httpx.codes.OK:
        raise refused(answer, "does the live release not know Inngest?")
    state = (
        "configured" if object_of(answer).get("configured") else "not configured: `bin/runbook up` does it"
    )
    return f"{place_of(answer)} says: {state}"


async def upstash(given: Given, http: Http) -> str:
    """That the database answers a PING."""
    url = given.reached(_value(given, "UPSTASH_REDIS_REST_URL"))
    answer = await http.ask(
        "POST", f"{url}/", bearer(given.get("UPSTASH_REDIS_REST_TOKEN") or ""), json=["PING"]
    )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise refused(answer, "it does not take UPSTASH_REDIS_REST_TOKEN")
    if answer.status_code != httpx.codes.OK or object_of(answer).get("result") != "PONG":
        raise refused(answer, "no PONG")
    return f"{place_of(answer)} answers PONG"


async def sentry(given: Given, _http: Http) -> str:
    """That its host takes connections, its certificate being right. No event is sent."""
    dsn = sentry_dsn(_value(given, "SENTRY_DSN"))
    host, port, is_tls = dsn.host, dsn.port, dsn.scheme == "https"
    if host == SANDBOX:
        there = urlsplit(given.reached(f"http://{SANDBOX}"))
        host, port = there.hostname or "", there.port or 80
    async with asyncio.timeout(TIMEOUT_S):
        context = ssl.create_default_context() if is_tls else None
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.close()
    return f"{host}:{port} takes connections"


async def redis(given: Given, _http: Http) -> str:
    """That it answers a PING to our password."""
    if "REDIS_URL" in given.made:
        raise Skipped("the stack has its own, which `up` makes and waits for")
    url = _value(given, "REDIS_URL")
    async with Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
        await client.ping()
    return f"{redis_url(url)} answers PONG"


SERVICES = (
    Service("WAHA", ("WAHA_API_URL", "WAHA_API_KEY"), sessions),
    Service("Convex", ("NEXT_PUBLIC_CONVEX_URL",), convex),
    Service("Clerk", ("CLERK_SECRET_KEY",), clerk.backend),
    Service(
        "Clerk's keys",
        ("CLERK_SECRET_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"),
        clerk.instance,
    ),
    Service("Inngest", ("INNGEST_EVENT_KEY", "INNGEST_SIGNING_KEY"), inngest),
    Service("Upstash", ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"), upstash),
    Service("Sentry", ("SENTRY_DSN",), sentry),
    Service("Resend", ("RESEND_API_KEY",), domains),
    Service("Redis", ("REDIS_URL",), redis),
)


def service_lines(given: Given, wrong: Collection[str] = ()) -> list[Line]:
    """A line for each service, all asked at once. *wrong*: the variables that are not plausible."""
    return asyncio.run(ask_all(given, wrong))


async def ask_all(given: Given, wrong: Collection[str], http: Http | None = None) -> list[Line]:
    """As `service_lines`, by *http* if it is given."""
    if http is None:
        async with opened() as fresh:
            return await ask_all(given, wrong, fresh)
    asked = (line(GROUP, one.name, partial(_asked, one, given, wrong, http)) for one in SERVICES)
    return list(await asyncio.gather(*asked))


async def _asked(service: Service, given: Given, wrong: Collection[str], http: Http) -> str:
    first = service.uses[0]
    if bad := [name for name in service.uses if name in wrong]:
        raise Skipped(f"{' and '.join(bad)} must be put right first")
    if given.get(first) is None and first not in given.made:
        raise Skipped(f"{first} is not set")
    return await service.ask(given, http)


def _value(given: Given, name: str) -> str:
    """The value of what a service needs, which a new dev stack does not have yet.

    Raises:
        Skipped: `up` makes it.
    """
    value = given.get(name)
    if value is None:
        raise Skipped(f"{name} is made by `bin/runbook up`")
    return value.rstrip("/")
