"""The WAHA stand-in's webhook: what was sent comes back, signed, until it is taken."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest

from sandbox.app import create_app
from sandbox.settings import Settings, SettingsError
from sandbox.waha_webhook import ATTEMPTS, WahaWebhook

URL = "http://app/api/webhooks/whatsapp"
SECRET = "a secret"
TEXT = {"session": "default", "chatId": "1@c.us", "text": "hé", "reply_to": "false_1@c.us_ABC"}


class Receiver:
    """Keeps what it is told, and answers as told: a status for each event, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.requests: list[httpx.Request] = []
        self._statuses = list(statuses)
        self._got = asyncio.Event()

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._got.set()
        status = self._statuses.pop(0) if self._statuses else 200
        if not status:
            raise httpx.ConnectError("nobody listens")
        return httpx.Response(status)

    async def told(self, count: int) -> list[dict[str, Any]]:
        """The first *count* events, attempts included."""
        async with asyncio.timeout(60):
            while len(self.requests) < count:
                self._got.clear()
                await self._got.wait()
        return [json.loads(request.content) for request in self.requests[:count]]


async def send(receiver: Receiver, secret: str | None = SECRET, fault: dict[str, Any] | None = None) -> None:
    """Send a text through a sandbox that tells *receiver*, perhaps with a fault of WAHA."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(receiver.answer))
    app = create_app(waha_webhook=WahaWebhook(URL, secret, delay_s=0, client=client))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as sandbox:
        if fault:
            await sandbox.put("/faults/waha", json=fault)
        await sandbox.post("/waha/api/sendText", json=TEXT)


async def test_sent_text_comes_back_in_wahas_shape() -> None:
    """First message.any, then message.ack: ours, in the chat, quoting the bare id of what it answers."""
    receiver = Receiver()
    await send(receiver)
    any_event, ack = await receiver.told(2)
    assert (any_event["event"], ack["event"]) == ("message.any", "message.ack")
    payload = any_event["payload"]
    assert (payload["fromMe"], payload["source"], payload["body"]) == (True, "api", "hé")
    assert payload["id"].startswith("true_1@c.us_3EB0")
    assert payload["replyTo"]["id"] == "ABC"
    assert (ack["payload"]["id"], ack["payload"]["ackName"]) == (payload["id"], "SERVER")


async def test_events_are_signed_over_their_bytes() -> None:
    """As WAHA signs: HMAC-SHA512 in lower-case hex; without a secret not at all."""
    receiver, unsigned = Receiver(), Receiver()
    await send(receiver)
    await receiver.told(1)
    request = receiver.requests[0]
    digest = hmac.new(SECRET.encode(), request.content, hashlib.sha512).hexdigest()
    assert (request.headers["X-Webhook-Hmac"], str(request.url)) == (digest, URL)
    await send(unsigned, secret=None)
    await unsigned.told(1)
    assert "X-Webhook-Hmac" not in unsigned.requests[0].headers


async def test_event_is_told_again_until_it_is_taken() -> None:
    """Refused, failing or unreachable: the same bytes with the same request id come again."""
    receiver = Receiver(503, 401, 0)
    await send(receiver)
    events = await receiver.told(5)
    assert [event["event"] for event in events] == ["message.any"] * 4 + ["message.ack"]
    assert len({request.content for request in receiver.requests[:4]}) == 1
    assert len({request.headers["X-Webhook-Request-Id"] for request in receiver.requests[:4]}) == 1


async def test_retries_end() -> None:
    """After its attempts WAHA forgets the event and goes on."""
    receiver = Receiver(*[500] * (ATTEMPTS + 1))
    await send(receiver)
    events = await receiver.told(ATTEMPTS + 2)
    assert [event["event"] for event in events] == ["message.any"] * (ATTEMPTS + 1) + ["message.ack"]


async def test_what_was_sent_without_an_answer_is_told_too() -> None:
    """With a fault on the answer only, the message is sent: its webhook comes all the same."""
    receiver = Receiver()
    await send(receiver, fault={"status": 500, "after": True})
    (event,) = await receiver.told(1)
    assert event["payload"]["body"] == "hé"


async def test_what_was_not_sent_is_not_told() -> None:
    """A fault before anything was done leaves nothing to tell."""
    receiver = Receiver()
    await send(receiver, fault={"status": 500})
    await asyncio.sleep(0.05)
    assert receiver.requests == []


def test_settings() -> None:
    """The webhook is off unless it has a URL; a wrong one is named."""
    assert Settings.from_env({}).waha_webhook_url is None
    told = {"SANDBOX_WAHA_WEBHOOK_URL": URL, "SANDBOX_WAHA_WEBHOOK_SECRET": SECRET}
    settings = Settings.from_env(told)
    assert (settings.waha_webhook_url, settings.waha_webhook_secret) == (URL, SECRET)
    assert SECRET not in repr(settings)
    with pytest.raises(SettingsError, match="SANDBOX_WAHA_WEBHOOK_URL"):
        Settings.from_env({"SANDBOX_WAHA_WEBHOOK_URL": "app:8080"})
