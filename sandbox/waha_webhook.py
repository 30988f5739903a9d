"""WAHA's webhook: each text that was sent comes back as `message.any`, and then as `message.ack`.

As WAHA does it: signed over the raw body, tried again at a constant pace until a 2xx, kept in memory only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

ATTEMPTS = 15
DELAY_S = 2.0
TIMEOUT_S = 8.0

MOST_WAITING = 10_000
"""Events on their way at once; further ones are lost, as they would be with WAHA itself."""

ME = "15550000000@c.us"

ENVIRONMENT = {"version": "2026.10.1", "engine": "WEBJS", "tier": "PLUS", "browser": "/usr/bin/chromium"}


@dataclass
class WahaWebhook:
    """Tells *url* of messages. *secret*: the HMAC key; without one events are not signed."""

    url: str
    secret: str | None = field(repr=False)
    delay_s: float = DELAY_S
    client: httpx.AsyncClient | None = field(default=None, repr=False)
    """Made when it is first needed, within the running loop."""
    _sending: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)

    def tell(self, session: str, payload: dict[str, Any]) -> None:
        """Begin to tell of a message of ours, by its payload in WAHA's form."""
        if len(self._sending) < MOST_WAITING:
            task = asyncio.get_running_loop().create_task(self._tell_both(session, payload))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _tell_both(self, session: str, payload: dict[str, Any]) -> None:
        await self._deliver(_event("message.any", session, payload))
        await self._deliver(_event("message.ack", session, {**payload, "ack": 1, "ackName": "SERVER"}))

    async def _deliver(self, event: dict[str, Any]) -> None:
        """Post *event* until it is taken, or the attempts are used up."""
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = self._headers(body, event["timestamp"])
        for attempt in range(ATTEMPTS + 1):
            if attempt:
                await asyncio.sleep(self.delay_s)
            if await self._is_taken(body, headers):
                return

    async def _is_taken(self, body: bytes, headers: dict[str, str]) -> bool:
        self.client = self.client or httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        try:
            return (await self.client.post(self.url, content=body, headers=headers)).is_success
        except httpx.HTTPError:
            return False

    def _headers(self, body: bytes, timestamp_ms: int) -> dict[str, str]:
        """The same for every attempt."""
        headers = {
            "Content-Type": "application/json",
            "X-Webhook-Request-Id": uuid.uuid4().hex,
            "X-Webhook-Timestamp": str(timestamp_ms),
        }
        if self.secret is not None:
            headers["X-Webhook-Hmac"] = hmac.new(self.secret.encode(), body, hashlib.sha512).hexdigest()
            headers["X-Webhook-Hmac-Algorithm"] = "sha512"
        return headers


def sent_payload(chat_id: str, bare_id: str, text: str, reply_to: str | None, time_ms: int) -> dict[str, Any]:
    """A text of ours, in the form of WAHA's WEBJS engine: *reply_to* is told by its bare id alone."""
    return {
        "id": f"true_{chat_id}_{bare_id}",
        "timestamp": time_ms // 1000,
        "from": ME,
        "fromMe": True,
        "source": "api",
        "to": chat_id,
        "participant": None,
        "body": text,
        "hasMedia": False,
        "media": None,
        "ack": 0,
        "ackName": "PENDING",
        "replyTo": {"id": _bare_id(reply_to), "participant": chat_id, "body": ""} if reply_to else None,
        "_data": {},
    }


def _bare_id(message_id: str) -> str:
    """The third part of `{fromMe}_{chatId}_{msgId}[_{participant}]`."""
    parts = message_id.split("_")
    return parts[2] if len(parts) > 2 else message_id


def _event(name: str, session: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{uuid.uuid4().hex[:26]}",
        "timestamp": int(time.time() * 1000),
        "event": name,
        "session": session,
        "metadata": {},
        "me": {"id": ME, "pushName": "Assistant"},
        "payload": payload,
        "engine": "WEBJS",
        "environment": ENVIRONMENT,
    }
