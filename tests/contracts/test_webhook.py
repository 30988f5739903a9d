"""What we send as WAHA is what WAHA sends."""

from __future__ import annotations

import json

from contracts.webhook import encode, message_event, new_ulid, signed_headers

VECTOR_BODY = b'{"event":"message","session":"default","engine":"WEBJS"}'


def test_waha_documentations_vector() -> None:
    """Key and body of WAHA's documentation give its HMAC."""
    headers = signed_headers(VECTOR_BODY, "my-secret-key")
    assert headers["X-Webhook-Hmac"].startswith("208f8a55")
    assert headers["X-Webhook-Hmac"].endswith("3fa89")
    assert len(headers["X-Webhook-Hmac"]) == 128
    assert headers["X-Webhook-Hmac-Algorithm"] == "sha512"


def test_sha256_is_what_openssl_prints() -> None:
    """The runbook's own sample signs with sha256: 64 lowercase hex digits."""
    digest = signed_headers(b"{}", "k", "sha256")["X-Webhook-Hmac"]
    assert len(digest) == 64
    assert digest == digest.lower()


def test_a_message_event_is_unique_and_encodes_as_utf8() -> None:
    """Two events of the same text are two messages."""
    one, two = (message_event("héllo 👋", chat_id="491@c.us") for _ in range(2))
    assert one["id"] != two["id"]
    assert one["payload"]["id"] != two["payload"]["id"]
    assert json.loads(encode(one))["payload"]["body"] == "héllo 👋"
    assert "héllo 👋".encode() in encode(one)


def test_ulids_are_26_characters_and_grow_with_time() -> None:
    """The leading ten characters are the time."""
    assert len(new_ulid()) == 26
    assert new_ulid()[:9] <= new_ulid()[:9]
