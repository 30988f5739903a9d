"""The WAHA stand-in: its shapes, its key, and the record of what was sent."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from sandbox.waha import Sent, SentMessage

TEXT = {"session": "default", "chatId": "491@c.us", "text": "Hello", "reply_to": "false_491@c.us_A1"}


async def send(client: httpx.AsyncClient, **overrides: Any) -> httpx.Response:
    """Send a text, some of its fields replaced."""
    return await client.post("/waha/api/sendText", json={**TEXT, **overrides})


async def test_ping_answers_pong(client: httpx.AsyncClient) -> None:
    """`GET /ping` answers in WAHA's own words."""
    answer = await client.get("/waha/ping")
    assert (answer.status_code, answer.json()) == (200, {"message": "pong"})


async def test_version_and_session_have_wahas_fields(client: httpx.AsyncClient) -> None:
    """The version names engine and tier; a session says its status and whose phone it is."""
    version = (await client.get("/waha/api/server/version")).json()
    session = (await client.get("/waha/api/sessions/default")).json()
    assert set(version) == {"version", "engine", "tier", "browser"}
    assert (session["name"], session["status"], session["me"]["id"]) == (
        "default",
        "WORKING",
        "15550000000@c.us",
    )


async def test_send_text_answers_201_in_webjs_shape(client: httpx.AsyncClient) -> None:
    """A sent text is answered by the engine's message, with a serialized id."""
    answer = await send(client)
    body = answer.json()
    assert answer.status_code == 201
    assert body["id"]["_serialized"] == f"true_491@c.us_{body['id']['id']}"
    assert (body["fromMe"], body["to"], body["body"], body["ack"]) == (True, "491@c.us", "Hello", 0)


async def test_what_was_sent_is_listed_newest_last(client: httpx.AsyncClient) -> None:
    """`GET /waha/sent` lists session, chat, text, the message answered and the time in milliseconds."""
    before = int(time.time() * 1000)
    await send(client, text="first")
    await send(client, text="second", reply_to=None)
    first, second = (await client.get("/waha/sent")).json()
    assert {key: first[key] for key in ("session", "chatId", "text", "replyTo")} == {
        "session": "default",
        "chatId": "491@c.us",
        "text": "first",
        "replyTo": "false_491@c.us_A1",
    }
    assert (second["text"], second["replyTo"]) == ("second", None)
    assert before <= first["time"] <= second["time"] <= time.time() * 1000


async def test_sent_can_be_filtered_and_emptied(client: httpx.AsyncClient) -> None:
    """`chatId=` keeps one chat; DELETE forgets all."""
    await send(client)
    await send(client, chatId="492@c.us")
    filtered = (await client.get("/waha/sent", params={"chatId": "492@c.us"})).json()
    emptied = await client.delete("/waha/sent")
    assert [message["chatId"] for message in filtered] == ["492@c.us"]
    assert emptied.status_code == 204
    assert (await client.get("/waha/sent")).json() == []


def test_the_record_is_bounded() -> None:
    """The oldest messages are forgotten beyond the number kept."""
    sent = Sent(kept=2)
    for text in ("one", "two", "three"):
        sent.add(SentMessage("default", "491@c.us", text, None, 0))
    assert [message["text"] for message in sent.listed()] == ["two", "three"]


@pytest.mark.parametrize(
    "path", ["/waha/api/sessions", "/waha/api/sessions/default", "/waha/api/server/version"]
)
async def test_a_wrong_key_is_401_in_wahas_words(client: httpx.AsyncClient, path: str) -> None:
    """Every path of the API wants the key; without it the answer is WAHA's own 401."""
    answer = await client.get(path, headers={"X-Api-Key": "wrong"})
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized", "statusCode": 401})


async def test_ping_wants_no_key(client: httpx.AsyncClient) -> None:
    """It tells that WAHA is there, and nothing of the key."""
    assert (await client.get("/waha/ping", headers={"X-Api-Key": "wrong"})).status_code == 200


async def test_another_key_can_be_set_and_ended(client: httpx.AsyncClient) -> None:
    """From then on only that one is taken, and after its end any."""

    async def statuses(*keys: str) -> list[int]:
        path = "/waha/api/server/version"
        return [(await client.get(path, headers={"X-Api-Key": key})).status_code for key in keys]

    assert (await client.put("/waha/key", json={"key": "new"})).status_code == 204
    assert await statuses("new", "waha-key", "") == [200, 401, 401]
    assert (await client.delete("/waha/key")).status_code == 204
    assert await statuses("new", "waha-key", "") == [200, 200, 200]


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": None}, {"key": 5}, {"key": "a", "more": 1}, []])
async def test_what_is_no_key_is_refused(client: httpx.AsyncClient, body: Any) -> None:
    """With what it should be; the key before stays."""
    refused = await client.put("/waha/key", json=body)
    assert (refused.status_code, "message" in refused.json()["error"]) == (400, True)
    assert (await client.get("/waha/api/server/version")).status_code == 200


async def test_sessions_are_listed(client: httpx.AsyncClient) -> None:
    """One, which works."""
    (session,) = (await client.get("/waha/api/sessions")).json()
    assert (session["name"], session["status"]) == ("default", "WORKING")


async def test_nothing_is_sent_with_a_wrong_key(client: httpx.AsyncClient) -> None:
    """A refused caller leaves no trace in what was sent."""
    answer = await client.post("/waha/api/sendText", json=TEXT, headers={"X-Api-Key": ""})
    assert answer.status_code == 401
    assert (await client.get("/waha/sent")).json() == []


@pytest.mark.parametrize("path", ["sendSeen", "startTyping", "stopTyping"])
async def test_chat_actions_answer_201(client: httpx.AsyncClient, path: str) -> None:
    """Seen and typing are accepted for a chat and want one."""
    body = {"session": "default", "chatId": "491@c.us"}
    assert (await client.post(f"/waha/api/{path}", json=body)).status_code == 201
    assert (await client.post(f"/waha/api/{path}", json={"session": "default"})).status_code == 400


async def test_a_session_that_does_not_work_is_422_in_wahas_shape(client: httpx.AsyncClient) -> None:
    """A session that is not WORKING refuses with its status and the status expected, and sends nothing."""
    answer = await send(client, session="stopped-1")
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": "stopped-1",
        "status": "STOPPED",
        "expected": ["WORKING"],
    }
    assert (await client.get("/waha/sent")).json() == []


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"text": ""}, "text"),
        ({"chatId": 5}, "chatId"),
        ({"reply_to": 1}, "reply_to"),
        ({"session": 1}, "session"),
    ],
)
async def test_a_bad_field_is_400_naming_it(
    client: httpx.AsyncClient, overrides: dict[str, Any], named: str
) -> None:
    """A missing or mistyped field is Nest's 400 with the field's name."""
    answer = await send(client, **overrides)
    body = answer.json()
    assert (answer.status_code, body["statusCode"], body["error"]) == (400, 400, "Bad Request")
    assert body["message"][0].startswith(named)


@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"[1]", 400), (b"\xff\xfe\xfa", 400), (b" " * 1_048_577, 413)]
)
async def test_a_bad_body_is_a_4xx(client: httpx.AsyncClient, content: bytes, status: int) -> None:
    """What is no JSON object of bounded size is refused in WAHA's shape."""
    answer = await client.post("/waha/api/sendText", content=content)
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
