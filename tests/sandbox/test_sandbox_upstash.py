"""Upstash's stand-in: its answers, its refusals, and where it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.app import create_app

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def upstash() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a sandbox whose Upstash has no Redis that answers."""
    transport = httpx.ASGITransport(create_app(None, AWAY))
    headers = {"Authorization": "Bearer token"}
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        yield client


async def test_it_is_there_only_with_a_redis(client: httpx.AsyncClient, upstash: httpx.AsyncClient) -> None:
    """Without a Redis there is no such service, and no fault can be set on it."""
    fault = {"status": 500}
    assert (await client.post("/upstash/pipeline", json=[["PING"]])).status_code == 404
    assert (await client.put("/faults/upstash", json=fault)).status_code == 400
    assert (await upstash.put("/faults/upstash", json=fault)).status_code == 200
    assert (await upstash.post("/upstash/pipeline", json=[["PING"]])).status_code == 500


@pytest.mark.parametrize("path", ["/upstash/", "/upstash/pipeline", "/upstash/multi-exec"])
async def test_it_wants_a_bearer_token(upstash: httpx.AsyncClient, path: str) -> None:
    """Without a token it is Upstash's 401."""
    answer = await upstash.post(path, json=["PING"], headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize(
    "command",
    [["BLPOP", "l", 0], ["xreadgroup", "GROUP", "g", "c", "block", 5, "STREAMS", "s", ">"], ["MONITOR"]],
)
async def test_blocking_commands_are_refused(upstash: httpx.AsyncClient, command: list[Any]) -> None:
    """REST has no connection that could wait."""
    answer = await upstash.post("/upstash/", json=command)
    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "ERR Command is not available")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[[]]", b'[["SET", null]]', b"7"])
async def test_what_is_no_pipeline_is_refused(upstash: httpx.AsyncClient, content: bytes) -> None:
    """Anything but a list of commands is a 400 in Upstash's shape."""
    answer = await upstash.post("/upstash/pipeline", content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_a_redis_that_is_away_is_an_error(upstash: httpx.AsyncClient) -> None:
    """The stand-in cannot answer without its Redis, and says so."""
    answer = await upstash.post("/upstash/pipeline", json=[["PING"]])
    assert (answer.status_code, answer.json()) == (500, {"error": "ERR Redis is away: ConnectionError"})
