"""The store over Upstash's REST API: what HTTP adds to what can go wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send
from store_kit import serving

from sandbox.app import create_app
from service.storage.store import OutOfMemory, StoreAway, StoreError, StoreRefused
from service.storage.upstash_store import UpstashStore


class Scripted:
    """An HTTP server that answers each request with the same status and content, and keeps the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.content = b"[]"
        self.bodies: list[bytes] = []
        self.heads: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heads.append({**dict(scope["headers"]), b":path": scope["raw_path"]})
        self.bodies.append((await receive())["body"])
        headers = [(b"location", b"/elsewhere")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})


@pytest.fixture
def server() -> Scripted:
    """The server, not yet told what to answer."""
    return Scripted()


@pytest.fixture
async def store(server: Scripted) -> AsyncIterator[UpstashStore]:
    """A store that asks it."""
    async with serving(server) as url:
        store = UpstashStore(url, "the token", timeout_s=30)
        yield store
        await store.aclose()


async def test_requests_are_upstashs(server: Scripted, store: UpstashStore) -> None:
    """A pipeline of commands as arrays of texts, with the token, asking for base64."""
    encoded = base64.b64encode(b"a\xff").decode()
    server.content = orjson.dumps([{"result": encoded}, {"result": "OK"}])
    replies = await asyncio.gather(store.call("GET", "a"), store.call("SET", "b", 1, "PX", 2.5))
    assert replies == [b"a\xff", b"OK"]
    assert orjson.loads(server.bodies[0]) == [["GET", "a"], ["SET", "b", "1", "PX", "2.5"]]
    head = server.heads[0]
    assert (head[b":path"], head[b"upstash-encoding"]) == (b"/pipeline", b"base64")
    assert head[b"authorization"] == b"Bearer the token"


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (401, b'{"error":"Unauthorized"}', StoreRefused),
        (400, b'{"error":"ERR max request size exceeded"}', StoreRefused),
        (400, b'{"error":"ERR DB capacity quota exceeded"}', OutOfMemory),
        (200, b'[{"error":"OOM no room"}]', OutOfMemory),
        (302, b"", StoreAway),
        (429, b'{"error":"slow down"}', StoreAway),
        (500, b"", StoreAway),
        (503, b'[{"result":1}]', StoreAway),
        (200, b"<html>", StoreAway),
        (200, b"{}", StoreAway),
        (200, b"[]", StoreAway),
        (200, b'[{"result":1},{"result":2}]', StoreAway),
        (200, b'[{"result":"not base64!"}]', StoreAway),
        (200, b'["x"]', StoreAway),
        (200, b"[{}]", StoreAway),
        (200, b"null", StoreAway),
    ],
)
async def test_answers_have_their_kind(
    server: Scripted, store: UpstashStore, status: int, content: bytes, kind: type[StoreError]
) -> None:
    """Whatever comes back is a reply or an error of the store; nothing is asked for twice."""
    server.status, server.content = status, content
    with pytest.raises(StoreError) as told:
        await store.call("INCR", "n")
    assert type(told.value) is kind
    assert "the token" not in str(told.value)
    assert len(server.bodies) == 1


async def test_only_the_caller_of_what_json_cannot_carry_is_refused(
    server: Scripted, store: UpstashStore
) -> None:
    """Bytes that are no UTF-8 never leave, and those who asked in the same turn do not suffer."""
    server.content = b'[{"result":1}]'
    failed, fine = await asyncio.gather(
        store.call("SET", "a", b"\xff"), store.call("INCR", "n"), return_exceptions=True
    )
    assert isinstance(failed, StoreRefused)
    assert fine == 1
    assert orjson.loads(server.bodies[0]) == [["INCR", "n"]]


@pytest.mark.integration
async def test_the_sandbox_answers_as_upstash_does(redis_url: str) -> None:
    """A result or an error for each command, texts in base64 where asked for, all but OK."""
    transport = httpx.ASGITransport(create_app(None, redis_url))
    headers = {"Authorization": "Bearer token"}
    commands = [["SET", "a", "é"], ["GET", "a"], ["INCR", "a"], ["EVALSHA", "0" * 40, 0], ["TTL", "a"]]
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        plain = (await client.post("/upstash/pipeline", json=commands)).json()
        encoded = await client.post(
            "/upstash/multi-exec", json=commands[:2], headers={"Upstash-Encoding": "base64"}
        )
        one = await client.post("/upstash/", json=["ECHO", "x"])
        wrong = await client.post("/upstash/", json=["NOPE"])
    assert plain[:3] == [
        {"result": "OK"},
        {"result": "é"},
        {"error": "ERR value is not an integer or out of range"},
    ]
    assert plain[3]["error"].startswith("NOSCRIPT ")
    assert plain[4] == {"result": -1}
    assert encoded.json() == [{"result": "OK"}, {"result": base64.b64encode("é".encode()).decode()}]
    assert one.json() == {"result": "x"}
    assert (wrong.status_code, wrong.json()["error"].split("'")[1]) == (400, "NOPE")
