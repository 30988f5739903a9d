"""The probes against the sandbox, and against what its services never answer."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from checklist_kit import LONG, publishable
from debian_programs import need
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route

from contracts.free_ports import free_ports
from runbook.checklist.asking import Http
from runbook.checklist.given import Given
from runbook.checklist.line import Line, Result
from runbook.checklist.services import SERVICES, ask_all, service_lines
from sandbox.app import create_app
from sandbox.clerk import JWKS

URL = "http://sandbox:9000"
DEV = {
    "WAHA_API_URL": f"{URL}/waha",
    "WAHA_API_KEY": LONG,
    "NEXT_PUBLIC_CONVEX_URL": f"{URL}/convex",
    "CLERK_SECRET_KEY": f"sk_test_{LONG}",
    "CLERK_API_URL": f"{URL}/clerk",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": publishable("clerk.acme.io", "test"),
    "INNGEST_EVENT_KEY": LONG,
    "RESEND_API_KEY": LONG,
    "RESEND_API_URL": f"{URL}/resend",
    "EMAIL_FROM": "Assistant <assistant@sandbox.example>",
}
STACK = Given(
    DEV, "a test", is_live=False, sandbox_url="http://127.0.0.1:8082", live_url="http://127.0.0.1:8080"
)


def answering(*routes: Route | Mount) -> Starlette:
    """The sandbox on its port, Clerk's frontend API, and the live release; *routes* stand before them."""

    async def keys(_request: Request) -> Response:
        return JSONResponse(JWKS)

    async def configured(_request: Request) -> Response:
        return JSONResponse({"configured": True, "has_event_key": True, "has_signing_key": True})

    return Starlette(
        routes=[
            *routes,
            Route("/api/inngest", configured),
            Host("clerk.acme.io", Starlette(routes=[Route("/.well-known/jwks.json", keys)])),
            Mount("/", create_app(LONG)),
        ]
    )


def route(path: str, status: int, content: object, methods: tuple[str, ...] = ("GET",)) -> Route:
    """A path that answers so."""

    async def answer(_request: Request) -> Response:
        if isinstance(content, str):
            return PlainTextResponse(content, status)
        return JSONResponse(content, status)

    return Route(path, answer, methods=list(methods))


@asynccontextmanager
async def client(transport: httpx.AsyncBaseTransport) -> AsyncIterator[Http]:
    """Both clients over *transport*."""
    async with httpx.AsyncClient(transport=transport) as only:
        yield Http(only, only)


async def asked(given: Given, *routes: Route, wrong: tuple[str, ...] = ()) -> dict[str, Line]:
    """The lines by name."""
    async with client(httpx.ASGITransport(answering(*routes))) as http:
        return {line.name: line for line in await ask_all(given, wrong, http)}


def changed(**values: str | None) -> Given:
    """The stack's environment, changed; None unsets."""
    merged = {**DEV, **values}
    return replace(STACK, values={name: value for name, value in merged.items() if value is not None})


async def test_the_sandbox_passes() -> None:
    """Each of its services takes what a dev stack has; what is not set is skipped, by name."""
    found = await asked(STACK)
    assert {name for name, line in found.items() if line.result is Result.PASSED} == {
        *("WAHA", "Convex", "Clerk", "Clerk's keys", "Inngest", "Resend")
    }
    assert {line.detail for line in found.values() if line.result is Result.SKIPPED} == {
        *("UPSTASH_REDIS_REST_URL is not set", "SENTRY_DSN is not set", "REDIS_URL is not set")
    }
    assert found["WAHA"].detail.startswith("WAHA ")
    assert "http://127.0.0.1:8082/waha" in found["WAHA"].detail
    assert found["Clerk"].detail.endswith("its instance signs with ins_sandbox")
    assert found["Clerk's keys"].detail == "both keys are for clerk.acme.io"
    assert found["Resend"].detail.endswith("sandbox.example is verified")
    assert LONG not in "".join(map(str, found.values()))


async def test_without_a_sandbox_its_services_are_skipped() -> None:
    """Its address is one inside Docker's network, which this machine does not know."""
    found = await asked(replace(STACK, sandbox_url=None, live_url=None))
    assert found["WAHA"].result is Result.SKIPPED
    assert found["WAHA"].detail == "the sandbox does not run yet: `bin/runbook up` starts it"
    assert found["Inngest"].detail.startswith("no release is live to be asked")


async def test_what_an_update_makes_is_skipped() -> None:
    """A new dev stack's keys are not there yet."""
    made = frozenset({"SENTRY_DSN", "RESEND_API_KEY", "REDIS_URL"})
    found = await asked(replace(changed(RESEND_API_KEY=None), made=made))
    assert {found[name].result for name in ("Sentry", "Resend", "Redis")} == {Result.SKIPPED}


async def test_what_is_implausible_is_not_asked() -> None:
    """A wrong value would only fail again, or go where it should not."""
    found = await asked(STACK, wrong=("WAHA_API_KEY", "CLERK_SECRET_KEY"))
    assert found["WAHA"].detail == "WAHA_API_KEY must be put right first"
    assert {found[name].result for name in ("WAHA", "Clerk", "Clerk's keys")} == {Result.SKIPPED}
    assert found["Convex"].result is Result.PASSED


@pytest.mark.parametrize(
    ("name", "changes", "routes", "why"),
    [
        ("WAHA", {"WAHA_API_KEY": "another"}, [], "answered 401: WAHA does not take WAHA_API_KEY"),
        ("WAHA", {"WAHA_API_KEY": None}, [], "answered 401: WAHA wants WAHA_API_KEY"),
        ("WAHA", {}, [route("/waha/ping", 200, {"message": "hello"})], "no pong: is that WAHA?"),
        ("WAHA", {}, [route("/waha/ping", 200, "<html>")], "no JSON"),
        ("WAHA", {}, [route("/waha/api/server/version", 404, {})], "answered 404: is that WAHA?"),
        (
            "WAHA",
            {},
            [route("/waha/api/sessions", 200, [{"name": "default", "status": "SCAN_QR_CODE"}])],
            "works: default SCAN_QR_CODE",
        ),
        ("WAHA", {}, [route("/waha/api/sessions", 200, [])], "there is none"),
        ("Convex", {}, [route("/convex/version", 404, "")], "answered 404: is a Convex deployment there?"),
        (
            "Clerk",
            {},
            [route("/clerk/v1/jwks", 401, {})],
            "answered 401: Clerk does not take CLERK_SECRET_KEY",
        ),
        ("Clerk", {}, [route("/clerk/v1/jwks", 500, {})], "answered 500"),
        ("Clerk", {}, [route("/clerk/v1/jwks", 200, {"keys": []})], "lists no signing keys"),
        ("Clerk", {}, [route("/clerk/v1/jwks", 200, [1])], "lists no signing keys"),
        ("Inngest", {}, [route("/api/inngest", 404, {})], "does the live release not know Inngest?"),
        ("Resend", {}, [route("/resend/domains", 401, {"name": "invalid_api_key"})], "(invalid_api_key)"),
        ("Resend", {}, [route("/resend/domains", 200, [])], "no JSON object"),
        ("Resend", {"EMAIL_FROM": "a@acme.io"}, [], "acme.io, which is not verified at Resend"),
    ],
)
async def test_what_is_wrong_is_said(
    name: str, changes: dict[str, str | None], routes: list[Route], why: str
) -> None:
    """With the address that answered, and without a key."""
    line = (await asked(changed(**changes), *routes))[name]
    assert line.result is Result.FAILED
    assert why in line.detail
    assert LONG not in line.detail


@pytest.mark.parametrize(
    ("name", "routes", "detail"),
    [
        (
            "WAHA",
            [route("/waha/api/sessions", 200, [{"name": "default", "status": "WORKING"}])],
            "; sessions: default WORKING",
        ),
        (
            "Resend",
            [route("/resend/domains", 401, {"name": "restricted_api_key"})],
            "takes RESEND_API_KEY, which may only send",
        ),
        ("Inngest", [route("/api/inngest", 200, {"configured": False})], "not configured"),
    ],
)
async def test_what_is_right_is_said(name: str, routes: list[Route], detail: str) -> None:
    """Also where it is not the sandbox's form: a key that may only send is a good one."""
    line = (await asked(STACK, *routes))[name]
    assert line.result is Result.PASSED
    assert detail in line.detail


async def test_clerks_keys_of_two_instances_fail() -> None:
    """Both are named: the host that the publishable key is for, and what each signs with."""
    other = {"keys": [{**JWKS["keys"][0], "kid": "ins_other"}]}
    line = (await asked(STACK, route("/clerk/v1/jwks", 200, other)))["Clerk's keys"]
    assert line.result is Result.FAILED
    assert "is for clerk.acme.io, which signs with ins_sandbox" in line.detail
    assert "the instance of CLERK_SECRET_KEY signs with ins_other" in line.detail


async def test_clerks_keys_cannot_be_compared_without_a_network() -> None:
    """That is skipped, since nothing was seen to be wrong; the service itself has failed to answer."""

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host", request=request)

    async with client(httpx.MockTransport(away)) as http:
        found = {line.name: line for line in await ask_all(STACK, (), http)}
    assert found["Clerk's keys"].result is Result.SKIPPED
    assert found["Clerk"].result is Result.FAILED
    assert found["Clerk"].detail == "http://127.0.0.1:8082 does not answer: no route to host"


async def test_all_are_asked_at_once() -> None:
    """However many hang: none waits for another."""
    under_way: list[str] = []
    all_asked = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        under_way.append(request.url.path)
        if len(under_way) >= 5:
            all_asked.set()
        await all_asked.wait()
        raise httpx.ReadTimeout("", request=request)

    async with client(httpx.MockTransport(hang)) as http, asyncio.timeout(10):
        found = {line.name: line for line in await ask_all(STACK, (), http)}
    assert found["Convex"].detail == "http://127.0.0.1:8082 does not answer: ReadTimeout"


@pytest.mark.parametrize(
    ("reply", "status", "why"),
    [
        ({"result": "PONG"}, 200, None),
        ({"result": "OK"}, 200, "no PONG"),
        ({"error": "Unauthorized"}, 401, "does not take UPSTASH_REDIS_REST_TOKEN"),
        ({"error": "ERR"}, 400, "no PONG"),
    ],
)
async def test_upstash_is_pinged(reply: dict[str, str], status: int, why: str | None) -> None:
    """With its token."""
    given = changed(UPSTASH_REDIS_REST_URL="https://happy.upstash.io", UPSTASH_REDIS_REST_TOKEN=LONG)
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, json=reply)

    async with client(httpx.MockTransport(answer)) as http:
        line = {line.name: line for line in await ask_all(given, (), http)}["Upstash"]
    assert line.result is (Result.FAILED if why else Result.PASSED)
    assert (why or "answers PONG") in line.detail
    ping = next(request for request in seen if request.url.host == "happy.upstash.io")
    assert (ping.method, ping.content) == ("POST", b'["PING"]')
    assert ping.headers["Authorization"] == f"Bearer {LONG}"


@asynccontextmanager
async def listening(react: Callable[[asyncio.StreamWriter], None] = lambda _: None) -> AsyncIterator[int]:
    """The port of a server that takes connections."""
    server = await asyncio.start_server(lambda _reader, writer: react(writer), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_sentrys_host_takes_connections() -> None:
    """Its own, and the sandbox's by the port that this machine has it on."""
    async with listening() as port:
        direct = await asked(changed(SENTRY_DSN=f"http://{LONG}@127.0.0.1:{port}/1"))
        assert direct["Sentry"].detail == f"127.0.0.1:{port} takes connections"
        sandboxed = changed(SENTRY_DSN="http://a@sandbox:9000/sentry/1")
        mapped = await asked(replace(sandboxed, sandbox_url=f"http://127.0.0.1:{port}"))
        assert mapped["Sentry"].detail == f"127.0.0.1:{port} takes connections"
    away = await asked(changed(SENTRY_DSN=f"http://{LONG}@127.0.0.1:{port}/1"))
    assert away["Sentry"].result is Result.FAILED
    assert LONG not in away["Sentry"].detail


async def test_a_host_without_its_certificate_is_not_sentry() -> None:
    """Whoever answers in the clear where TLS is spoken is not trusted."""
    async with listening(lambda writer: writer.close()) as port:
        found = await asked(changed(SENTRY_DSN=f"https://{LONG}@127.0.0.1:{port}/1"))
    assert found["Sentry"].result is Result.FAILED


@pytest.fixture
def redis_port() -> Iterator[int]:
    """The port of a Redis that wants the password `right`."""
    need("redis-server")
    (port,) = free_ports(1)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "right"]
    process = subprocess.Popen([*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None
    yield port
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("password", "result", "detail"),
    [("right", Result.PASSED, "answers PONG"), ("hunter2hunter2", Result.FAILED, "no answer: ")],
)
async def test_redis_is_pinged(redis_port: int, password: str, result: Result, detail: str) -> None:
    """A real one, with its password and with another, which is not shown."""
    line = (await asked(changed(REDIS_URL=f"redis://:{password}@127.0.0.1:{redis_port}/0")))["Redis"]
    assert (line.result, detail in line.detail, password in line.detail) == (result, True, False)


async def test_no_redis_is_said() -> None:
    """Without its password."""
    line = (await asked(changed(REDIS_URL="redis://:hunter2@127.0.0.1:1/0")))["Redis"]
    assert line.result is Result.FAILED
    assert "hunter2" not in line.detail


def test_nothing_to_ask() -> None:
    """An empty environment skips every line, and opens no connection."""
    found = service_lines(Given({}, "a test", is_live=True))
    assert [line.result for line in found] == [Result.SKIPPED] * len(SERVICES)
