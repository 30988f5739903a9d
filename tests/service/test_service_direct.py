"""The short way of a webhook: over real connections, the same answers as by ASGI, whichever way is gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from service_kit import RELEASE, Fixture, event, signed

from contracts.webhook import WEBHOOK_PATH
from service.lanes import LIVE, gate_lane
from service.webhooks import webhook
from service.webhooks.direct import WebhookProtocol

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


class Server(uvicorn.Server):
    """A server in this event loop, which leaves the test's signals alone."""

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.servers[0].sockets[0].getsockname()[1])


@pytest.fixture
async def server(web: Fixture, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """The web application behind its own protocol, at a free port; its parameter: the keep-alive time."""
    protocol: Any = partial(WebhookProtocol, webhook=web.web.webhook, stopwatch=web.web.stopwatch)
    config = uvicorn.Config(
        web.app,
        port=0,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=getattr(request, "param", 60),
    )
    server = Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server
    await server.shutdown()


@asynccontextmanager
async def connection(server: Server) -> AsyncIterator[tuple[Reader, Writer]]:
    """A connection to *server*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield reader, writer
    writer.close()


def request(body: bytes, *more: bytes, version: bytes = b"1.1", framed: bool = True) -> bytes:
    """A signed webhook as sent, with *more* header lines."""
    lines = [b"POST " + WEBHOOK_PATH.encode() + b" HTTP/" + version, b"Host: test", *more]
    lines += [b": ".join(header) for header in signed(body)]
    if framed:
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", chunk])


async def answer(reader: Reader) -> tuple[int, bytes, bytes]:
    """The next answer on a connection: status, head, body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    length = re.search(rb"content-length: (\d+)", head)
    assert length
    return int(head.split()[1]), head, await reader.readexactly(int(length[1]))


@pytest.fixture
def went_by_asgi(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each webhook that came through ASGI."""
    seen: list[int] = []
    original = webhook.Webhook.__call__

    async def counted(self: webhook.Webhook, *arguments: Any) -> None:
        seen.append(1)
        await original(self, *arguments)

    monkeypatch.setattr(webhook.Webhook, "__call__", counted)
    return seen


def header_lines(head: bytes) -> set[bytes]:
    """The lines of an answer's head, as they were sent."""
    return set(head.split(b"\r\n"))


NEVER_KEPT = {b"x-content-type-options: nosniff", b"cache-control: no-store"}


async def test_whole_webhook_goes_directly(server: Server, web: Fixture, went_by_asgi: list[int]) -> None:
    """It is answered with all headers, on a connection that stays open for the next."""
    async with connection(server) as (reader, writer):
        for _ in range(2):
            body = event()
            writer.write(request(body))
            status, head, content = await answer(reader)
            assert (status, b"x-request-id" in head, b"accepted" in content) == (202, True, True)
            assert header_lines(head) >= NEVER_KEPT
    assert [taken.body for _, taken in web.admission.taken][-1] == body
    assert (len(web.admission.taken), went_by_asgi) == (2, [])


async def test_split_anywhere_it_is_the_same(server: Server, web: Fixture) -> None:
    """Wherever the network cuts a webhook in two, it is taken whole."""
    whole = request(event("hi"))
    async with connection(server) as (reader, writer):
        for place in range(1, len(whole), 7):
            body = event("hi")
            whole = request(body)
            writer.write(whole[:place])
            await writer.drain()
            await asyncio.sleep(0)  # the server reads in the same loop: let it
            writer.write(whole[place:])
            assert (await answer(reader))[0] == 202
            assert web.admission.taken[-1][1].body == body


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(request, framed=False), id="chunked"),
        pytest.param(lambda body: request(body, b"Connection: close"), id="last request"),
        pytest.param(lambda body: request(body, version=b"1.0"), id="HTTP/1.0"),
    ],
)
async def test_unusual_webhook_is_the_same(server: Server, web: Fixture, make: Any) -> None:
    """Whatever is unusual about the request, the webhook is taken once and answered."""
    body = event()
    async with connection(server) as (reader, writer):
        writer.write(make(body))
        assert (await answer(reader))[0] == 202
    assert [taken.body for _, taken in web.admission.taken] == [body]


async def test_expecting_client_is_told_to_continue(server: Server, web: Fixture) -> None:
    """A client that asks first is answered 100, then 202."""
    body = event()
    head, _, _ = request(body, b"Expect: 100-continue").partition(b"\r\n\r\n")
    async with connection(server) as (reader, writer):
        writer.write(head + b"\r\n\r\n")
        assert b"100 Continue" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.write(body)
        assert (await answer(reader))[0] == 202
    assert len(web.admission.taken) == 1


async def test_pipelined_requests_are_answered_in_order(server: Server, web: Fixture) -> None:
    """Of several requests in one packet each gets its own answer, in the order they came."""
    bodies = [event(message_id=f"A{number}") for number in range(3)]
    health = b"GET /api/health/live HTTP/1.1\r\nHost: test\r\n\r\n"
    async with connection(server) as (reader, writer):
        writer.write(request(bodies[0]) + health + request(bodies[1]) + request(bodies[2]))
        contents = [(await answer(reader))[2] for _ in range(4)]
    found = [re.search(rb"A\d|live", content) for content in contents]
    assert [it[0] if it else None for it in found] == [b"A0", b"live", b"A1", b"A2"]


async def test_refusal_is_the_same_by_either_way(server: Server, went_by_asgi: list[int]) -> None:
    """A wrong signature is the same JSON 401 by either way."""
    wrong = request(event()).replace(b"x-webhook-hmac: ", b"x-webhook-hmac: 0")
    async with connection(server) as (reader, writer):
        writer.write(wrong)
        directly = await answer(reader)
        writer.write(wrong.replace(b"Host: test", b"Host: test\r\nConnection: close"))
        by_asgi = await answer(reader)
    assert (directly[0], directly[2]) == (by_asgi[0], by_asgi[2])
    assert (directly[0], len(went_by_asgi)) == (401, 1)
    assert all(header_lines(head) >= NEVER_KEPT for _, head, _ in (directly, by_asgi))


@pytest.mark.parametrize("server", [1], indirect=True)
async def test_idle_connection_is_closed(server: Server) -> None:
    """A connection ends when nobody has used it for the keep-alive time, and no sooner."""
    loop = asyncio.get_running_loop()
    async with connection(server) as (reader, writer):
        for _ in range(2):
            began = loop.time()
            writer.write(request(event()))
            await answer(reader)
        assert await asyncio.wait_for(reader.read(1), 60) == b""
        assert loop.time() - began > 0.9


@pytest.fixture
def held(web: Fixture) -> list[Any]:
    """What waits for Redis: the callbacks of an admission that answers none."""
    held: list[Any] = []

    class Holding:
        def admit(self, arrival: Any, done: Any) -> None:
            held.append(done)

    object.__setattr__(
        web.web.webhook, "admissions", {lane: Holding() for lane in web.web.webhook.admissions}
    )
    return held


async def until_held(held: list[Any]) -> None:
    """Return once a message waits for Redis."""
    async with asyncio.timeout(60):
        while not held:  # noqa: ASYNC110 - a turn of the loop is all there is to wait for
            await asyncio.sleep(0)


async def test_client_that_left_is_not_waited_for(server: Server, web: Fixture, held: list[Any]) -> None:
    """Its message is taken, the answer goes nowhere, and nothing breaks."""
    async with connection(server) as (_, writer):
        writer.write(request(event()))
        await until_held(held)
    async with asyncio.timeout(60):
        while server.server_state.connections:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    held[0](webhook.Admitted.ACCEPTED)
    assert web.lines("Request failed") == []


async def test_body_that_nobody_read_does_not_stall_its_connection(server: Server) -> None:
    """After a long body to a wrong path, the same connection takes the next webhook."""
    nowhere = b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    async with connection(server) as (reader, writer):
        writer.write(nowhere)
        assert (await answer(reader))[0] == 404
        writer.write(request(event()))
        assert (await answer(reader))[0] == 202


TRAILERS = b"X-Gate-Lane: 1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Webhook-Hmac: 00\r\n"


def with_trailers(whole: bytes) -> bytes:
    """A chunked request whose last chunk is followed by headers."""
    assert whole.endswith(b"0\r\n\r\n")
    return whole[:-2] + TRAILERS + b"\r\n"


@pytest.mark.parametrize(
    ("more", "pieces", "asgi"),
    [((), 1, 0), ((b"Connection: close",), 1, 1), ((), 3, 1)],
    ids=["directly", "by ASGI", "by ASGI in pieces"],
)
async def test_trailers_are_no_headers(
    server: Server, web: Fixture, went_by_asgi: list[int], more: tuple[bytes, ...], pieces: int, asgi: int
) -> None:
    """Whichever way a webhook goes, what stands behind its body chooses no lane, address or signature."""
    object.__setattr__(web.web.webhook, "trust_proxy", True)
    body = event("x" * 9000)
    whole = with_trailers(request(body, b"X-Forwarded-For: 198.51.100.1", *more, framed=False))
    async with connection(server) as (reader, writer):
        for number in range(pieces):
            writer.write(whole[number * len(whole) // pieces : (number + 1) * len(whole) // pieces])
            await writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)  # the server reads in the same loop: let it
        assert (await answer(reader))[0] == 202
    ((lane, arrival),) = web.admission.taken
    assert (lane, arrival.address, arrival.body) == (LIVE, "198.51.100.1", body)
    assert len(went_by_asgi) == asgi


async def test_trailers_open_no_gate(server: Server) -> None:
    """The recorded replies are for the frontend that sets the header, not for a sender of trailers."""
    get = b"GET /api/gate/replies HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with connection(server) as (reader, writer):
        writer.write(with_trailers(get))
        assert (await answer(reader))[0] == 404


async def test_the_next_request_has_its_own_headers(server: Server, web: Fixture) -> None:
    """After trailers, headers are headers again."""
    async with connection(server) as (reader, writer):
        writer.write(with_trailers(request(event(), framed=False)))
        assert (await answer(reader))[0] == 202
        writer.write(request(event(), b"X-Gate-Lane: 1"))
        assert (await answer(reader))[0] == 202
    assert [lane for lane, _ in web.admission.taken] == [LIVE, gate_lane(RELEASE)]


def break_parsing(monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Have every webhook meet an error of ours; that error."""
    error = ZeroDivisionError("a very private text")

    def broken(_body: bytes) -> None:
        raise error

    monkeypatch.setattr(webhook, "parse_event", broken)
    return error


@pytest.mark.parametrize("more", [(), (b"Connection: close",)], ids=["directly", "by ASGI"])
async def test_an_error_of_ours_is_no_fault_of_the_client(
    server: Server, web: Fixture, monkeypatch: pytest.MonkeyPatch, more: tuple[bytes, ...]
) -> None:
    """It is 500, in the log as an error by its request, told of and counted; the next webhook is taken."""
    error = break_parsing(monkeypatch)
    async with connection(server) as (reader, writer):
        writer.write(request(event(), b"X-Request-Id: a1", *more))
        status, _, content = await answer(reader)
    assert (status, b'"code":"internal"' in content, b"private" in content) == (500, True, False)
    (line,) = web.lines("Request failed")
    assert (line["log_level"], line["exc_info"]) == ("error", error)
    assert web.alarms.errors == [("Request failed", error)]
    counted = web.web.metrics.registry.get_sample_value
    assert counted("webhooks_total", {"outcome": "internal", "lane": "live"}) == 1
    path = {"method": "POST", "path": WEBHOOK_PATH, "status": "500", "lane": "live"}
    assert counted("http_request_duration_seconds_count", path) == 1


async def test_after_an_error_of_ours_the_connection_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was whole, so the next one on the same connection is taken."""
    async with connection(server) as (reader, writer):
        with monkeypatch.context() as broken:
            break_parsing(broken)
            writer.write(request(event()))
            assert (await answer(reader))[0] == 500
        writer.write(request(event()))
        assert (await answer(reader))[0] == 202


def broken(*_arguments: object) -> None:
    """Meet an error of ours."""
    raise ZeroDivisionError("a very private text")


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
async def test_an_error_of_ours_while_answering_is_500_too(
    server: Server, web: Fixture, held: list[Any], monkeypatch: pytest.MonkeyPatch, *, later: bool
) -> None:
    """Also what fails when the answer is there already is nobody's fault but ours."""
    if not later:
        object.__setattr__(web.web.webhook, "admissions", {LIVE.name: web.admission})
    monkeypatch.setattr("service.webhooks.middleware.Stopwatch.observe", broken)
    async with connection(server) as (reader, writer):
        writer.write(request(event()))
        if later:
            await until_held(held)
            held[0](webhook.Admitted.ACCEPTED)
        assert (await answer(reader))[0] == 500
        assert await asyncio.wait_for(reader.read(1), 60) == b""
    assert {type(error) for _, error in web.alarms.errors} == {ZeroDivisionError}


async def test_an_error_of_ours_after_redis_answered_is_500_too(server: Server, web: Fixture) -> None:
    """Nobody waits in vain: what fails when the message was taken already is answered, and told of."""

    def broken(_status: str, _lane: object) -> None:
        if _status == "accepted":
            raise ZeroDivisionError

    object.__setattr__(web.web.metrics, "count_webhook", broken)
    async with connection(server) as (reader, writer):
        writer.write(request(event()))
        assert (await answer(reader))[0] == 500
    assert [type(error) for _, error in web.alarms.errors] == [ZeroDivisionError]


@pytest.mark.parametrize("step", ["_may_go_directly", "on_header", "on_body", "_take"])
async def test_an_error_of_ours_while_reading_is_500_too(
    server: Server, web: Fixture, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The parser takes what fails within it for the client's fault: it is told as ours, by its own type."""
    monkeypatch.setattr(WebhookProtocol, step, broken)
    async with connection(server) as (reader, writer):
        writer.write(request(event()))
        status, head, content = await answer(reader)
        assert (status, b'"code":"internal"' in content, b"private" in content) == (500, True, False)
        assert header_lines(head) >= NEVER_KEPT
        assert await asyncio.wait_for(reader.read(1), 60) == b""
    assert [type(error) for _, error in web.alarms.errors] == [ZeroDivisionError]
    assert len(web.lines("Request failed")) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01hello",
        b"PUT http://a~b/api/webhooks/whatsapp HTTP/1.1\r\nHost: a",
        b"GET http://somewhere HTTP/1.1\r\nHost: somewhere",
        b"CONNECT somewhere:80 HTTP/1.1\r\nHost: somewhere",
        b"GET /\xff HTTP/1.1\r\nHost: a",
    ],
)
async def test_no_http_is_400(server: Server, web: Fixture, sent: bytes) -> None:
    """What is no HTTP, or has a URL that is none, is told so as others are, and the connection closed."""
    async with connection(server) as (reader, writer):
        writer.write(sent + b"\r\n\r\n")
        status, head, content = await answer(reader)
        assert (status, b"x-request-id" in head, b'"code":"malformed"' in content) == (400, True, True)
        assert header_lines(head) >= NEVER_KEPT
        assert await asyncio.wait_for(reader.read(1), 60) == b""
    assert not web.alarms.errors
