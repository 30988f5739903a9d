"""Webhooks as they lie on the wire, signed; no two are the same message."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator

from contracts.webhook import WEBHOOK_PATH, encode, message_event

CHATS = 500
SECRET = "the benchmark's own secret"  # noqa: S105 - of servers that live for a minute on loopback

_TEXT = (
    "Good morning! I ordered the blue one last week, number %(id)b, and the parcel has still not arrived. "
    "Could you please look where it is, and tell me when I may expect it? Thank you very much."
)
_HEAD = (
    b"POST " + WEBHOOK_PATH.encode() + b" HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"User-Agent: WAHA/2026.10.1\r\n"
    b"Accept: application/json, text/plain, */*\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Webhook-Hmac: %b\r\n"
    b"X-Webhook-Hmac-Algorithm: sha512\r\n"
    b"X-Webhook-Request-Id: %b\r\n"
    b"X-Webhook-Timestamp: %d\r\n"
    b"Content-Length: %d\r\n"
    b"\r\n"
)


def unique_requests() -> Iterator[bytes]:
    """Signed requests without end, of `CHATS` chats by turns; those of other runs are other messages."""
    run, secret = secrets.token_hex(6).upper(), SECRET.encode()
    template, sent_ms = _template()
    number = 0
    while True:
        message_id = b"%b%08X" % (run.encode(), number)
        body = template % {b"id": message_id, b"chat": number % CHATS}
        signature = hmac.digest(secret, body, hashlib.sha512).hex().encode()
        yield _HEAD % (signature, message_id, sent_ms, len(body)) + body
        number += 1


def _template() -> tuple[bytes, int]:
    """An event's bytes with places for the message's id and the chat's number, and the event's time (ms)."""
    event = message_event(_TEXT, chat_id="4915%(chat)07d@c.us", message_id="%(id)b")
    event["id"] = "evt_01k%(id)b"
    return encode(event), event["timestamp"]
