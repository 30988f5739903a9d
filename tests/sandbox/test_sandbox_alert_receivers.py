"""The team channel and the heartbeat answer as Slack and healthchecks.io do, and keep what came."""

from __future__ import annotations

import datetime

import httpx
import pytest

HOOK = "/channel/services/T1/B1/x"
CHECK = "3f0f7b1e-6c0b-4b57-9d6e-0d8f3c9f6a01"


@pytest.mark.parametrize("message", [{"text": "hi"}, {"channel": "#ops", "attachments": [{"title": "t"}]}])
async def test_a_post_is_kept_with_its_hook(client: httpx.AsyncClient, message: dict[str, object]) -> None:
    """Slack says `ok` in plain text; what is kept can be emptied."""
    answer = await client.post(HOOK, json=message)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert (await client.get("/channel/posts")).json() == [{**message, "hook": "services/T1/B1/x"}]
    await client.delete("/channel/posts")
    assert (await client.get("/channel/posts")).json() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no JSON", "invalid_payload"), (b"[]", "invalid_payload"), (b"{}", "no_text"),
     (b'{"text":""}', "no_text")],
)  # fmt: skip
async def test_a_post_that_says_nothing_is_400(client: httpx.AsyncClient, content: bytes, said: str) -> None:
    """With Slack's word for it; nothing is kept."""
    answer = await client.post(HOOK, content=content)
    assert (answer.status_code, answer.text) == (400, said)
    assert (await client.get("/channel/posts")).json() == []


@pytest.mark.parametrize("service", ["channel", "heartbeat"])
async def test_they_can_fail(client: httpx.AsyncClient, service: str) -> None:
    """By a fault, as the other services."""
    assert (await client.put(f"/faults/{service}", json={"status": 500})).status_code == 200
    assert (await client.post(f"/{service}/{CHECK}", json={"text": "hi"})).status_code == 500


async def test_pings_are_kept_with_their_time(client: httpx.AsyncClient) -> None:
    """By GET or POST; what is no UUID is no check."""
    answers = [
        await client.get(f"/heartbeat/{CHECK}"),
        await client.post(f"/heartbeat/{CHECK}", content=b"x"),
    ]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "OK")] * 2
    assert (await client.post("/heartbeat/nonsense")).status_code == 404
    pings = (await client.get("/heartbeat/pings")).json()
    assert [ping["check"] for ping in pings] == [CHECK] * 2
    assert all(datetime.datetime.fromisoformat(ping["at"]).tzinfo for ping in pings)
