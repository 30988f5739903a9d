"""What the generator sends: signed as WAHA signs, of many chats, each message once."""

from __future__ import annotations

import json
from itertools import islice

from benchmarks.presigned import CHATS, SECRET, unique_requests
from contracts.webhook import WEBHOOK_PATH, signed_headers


def parts(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """The request line, the headers and the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, dict(header.split(": ", 1) for header in headers), body


def requests(count: int) -> list[tuple[str, dict[str, str], bytes]]:
    """The first *count*, in parts."""
    return [parts(request) for request in islice(unique_requests(), count)]


def test_a_request_is_signed_as_waha_signs() -> None:
    """Its signature is the one that WAHA's side of the contract gives the same body."""
    line, headers, body = requests(1)[0]
    assert line == f"POST {WEBHOOK_PATH} HTTP/1.1"
    assert headers["X-Webhook-Hmac"] == signed_headers(body, SECRET)["X-Webhook-Hmac"]
    assert headers.keys() >= signed_headers(body, SECRET).keys()
    assert int(headers["Content-Length"]) == len(body)


def test_bodies_are_messages_of_the_usual_size() -> None:
    """About 700 bytes, and every place in the template is filled."""
    _, _, body = requests(1)[0]
    event = json.loads(body)
    assert event["event"] == "message"
    assert 600 < len(body) < 900
    assert b"%" not in body


def test_no_two_requests_are_the_same_message() -> None:
    """Neither within a run nor between two: one taken for a duplicate would not be answered 202."""
    ids = [json.loads(body)["payload"]["id"] for _, _, body in requests(1200) + requests(1200)]
    assert len(set(ids)) == len(ids)


def test_chats_take_turns() -> None:
    """The messages come from `CHATS` chats, evenly."""
    chats = [json.loads(body)["payload"]["from"] for _, _, body in requests(2 * CHATS)]
    assert len(set(chats)) == CHATS
    assert chats[:CHATS] == chats[CHATS:]
