"""The WAHA that answers at once: it counts, and answers what the worker asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from benchmarks.instant_waha import Exchange, Replies


class Wire(asyncio.Transport):
    """What was written to a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


@pytest.fixture
def replies() -> Replies:
    """Nothing sent so far."""
    return Replies()


@pytest.fixture
def wire(replies: Replies) -> Iterator[tuple[Wire, Exchange]]:
    """A connection."""
    transport, exchange = Wire(), Exchange(replies)
    exchange.connection_made(transport)
    yield transport, exchange


def request(path: str, body: dict[str, str], method: str = "POST") -> bytes:
    """A request as httpx writes it."""
    built = httpx.Request(method, f"http://waha{path}", json=body)
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in built.headers.items()
    )
    return head.encode() + b"\r\n" + built.content


def text(reply_to: str) -> bytes:
    """A reply."""
    return request(
        "/api/sendText", {"session": "default", "chatId": "1@c.us", "text": "hi", "reply_to": reply_to}
    )


def test_replies_are_counted_by_message(replies: Replies, wire: tuple[Wire, Exchange]) -> None:
    """One that is answered twice shows as more replies than messages."""
    for reply_to in ("a", "b", "a"):
        wire[1].data_received(text(reply_to))
    counts = replies.counts()
    assert (counts.answered, counts.sent, counts.requests) == (2, 3, 3)
    assert 0 < counts.first_at <= counts.last_at


def test_requests_may_come_in_pieces_and_together(replies: Replies, wire: tuple[Wire, Exchange]) -> None:
    """Each is answered once it is whole."""
    stream = text("a") + text("b")
    for start in range(0, len(stream), 100):
        wire[1].data_received(stream[start : start + 100])
    assert replies.counts().sent == 2
    assert wire[0].written.count(b"HTTP/1.1 201 Created") == 2


@pytest.mark.parametrize("path", ["/api/sendSeen", "/api/startTyping", "/api/stopTyping"])
def test_the_polite_steps_are_no_replies(path: str, replies: Replies, wire: tuple[Wire, Exchange]) -> None:
    """They are answered 201, as WAHA does."""
    wire[1].data_received(request(path, {"session": "default", "chatId": "1@c.us"}))
    assert wire[0].written.startswith(b"HTTP/1.1 201 Created")
    assert (replies.counts().sent, replies.counts().requests) == (0, 1)


def test_what_is_not_known_is_not_found(wire: tuple[Wire, Exchange]) -> None:
    """A worker that asks for more than is measured is seen."""
    wire[1].data_received(request("/api/sendImage", {}))
    assert wire[0].written.startswith(b"HTTP/1.1 404 Not Found")


def test_counts_are_told(replies: Replies, wire: tuple[Wire, Exchange]) -> None:
    """As JSON."""
    wire[1].data_received(text("a"))
    wire[0].written = b""
    wire[1].data_received(b"GET /counts HTTP/1.1\r\n\r\n")
    assert json.loads(wire[0].written.partition(b"\r\n\r\n")[2])["answered"] == 1
