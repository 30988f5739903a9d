"""WAHA's side of a webhook, for whoever plays the sender: the signed headers and a `message` event.

The receiver does not import this: it verifies on its own, so that one side's mistake shows on the other.
Shapes: WAHA's documentation of webhooks (HMAC, event envelope, `message` payload).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
import uuid
from typing import Any, Literal

Algorithm = Literal["sha512", "sha256"]

WEBHOOK_PATH = "/api/webhooks/whatsapp"
REPLIES_PATH = "/api/gate/replies"
LANE_HEADER = "X-Gate-Lane"
"""Set by the proxy's candidate frontend, stripped by its public one: keeps events in the release's lane."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def signed_headers(body: bytes, secret: str, algorithm: Algorithm = "sha512") -> dict[str, str]:
    """WAHA's headers for *body*: a lowercase hex HMAC over the raw bytes, its algorithm, an id, the time."""
    digest = hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Webhook-Hmac": digest,
        "X-Webhook-Hmac-Algorithm": algorithm,
        "X-Webhook-Request-Id": uuid.uuid4().hex,
        "X-Webhook-Timestamp": str(int(time.time() * 1000)),
    }


def new_ulid() -> str:
    """A fresh ULID: 48 bits of milliseconds and 80 random bits, in Crockford's base 32."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def message_event(
    text: str,
    *,
    chat_id: str,
    message_id: str | None = None,
    event: str = "message",
    session: str = "default",
    payload: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A WAHA event carrying one incoming text message from *chat_id*; *payload* overrides single fields.

    `timestamp` is in milliseconds in the envelope and in seconds in the payload, as WAHA has it.
    """
    now = time.time()
    bare_id = message_id or secrets.token_hex(10).upper()
    return {
        "id": f"evt_{new_ulid().lower()}",
        "timestamp": int(now * 1000),
        "event": event,
        "session": session,
        "metadata": {},
        "me": {"id": "15550000000@c.us", "pushName": "Assistant"},
        "payload": {
            "id": f"false_{chat_id}_{bare_id}",
            "timestamp": int(now),
            "from": chat_id,
            "to": "15550000000@c.us",
            "fromMe": False,
            "participant": None,
            "body": text,
            "hasMedia": False,
            "media": None,
            "ack": 1,
            "ackName": "SERVER",
            "replyTo": None,
            "source": "app",
            "_data": {},
            **(payload or {}),
        },
        "engine": "WEBJS",
        "environment": {
            "version": "2026.10.1",
            "engine": "WEBJS",
            "tier": "PLUS",
            "browser": "/usr/bin/chromium",
        },
    }


def encode(event: dict[str, Any]) -> bytes:
    """The event's bytes as sent: compact UTF-8 JSON."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
