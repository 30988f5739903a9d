"""Requests of every kind that the service answers, each with a new message where it has one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from chaos_sender import SECRET
from chaos_wire import Answer, head, request

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers

MAX_BODY = 65_536
"""MAX_BODY_BYTES of the web process that these are made for: the least that it takes."""

_numbers = itertools.count()
_CHANGES = ("date", "x-request-id")


@dataclass(frozen=True)
class Asked:
    """A request's parts, to be sent in one form or another."""

    body: bytes
    fields: tuple[tuple[str, str], ...]
    method: str = "POST"
    path: str = WEBHOOK_PATH

    def whole(self, *more: tuple[str, str], version: str = "HTTP/1.1") -> bytes:
        """As a client sends it by default."""
        fields = (*self.fields, *more)
        return request(self.body, fields, method=self.method, path=self.path, version=version)

    def chunked(self, size: int) -> bytes:
        """With its body in chunks of *size*."""
        fields = [("Host", "chaos"), ("Transfer-Encoding", "chunked"), *self.fields]
        chunks = [self.body[at : at + size] for at in range(0, len(self.body), size)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        return head(f"{self.method} {self.path} HTTP/1.1", fields) + body

    def in_two(self) -> tuple[bytes, bytes]:
        """Head and body, the head asking whether the body is wanted."""
        whole = self.whole(("Expect", "100-continue"))
        split = len(whole) - len(self.body)
        return whole[:split], whole[split:]


def message(bare_id: str | None = None) -> Asked:
    """A new message, signed."""
    bare_id = bare_id or f"{next(_numbers):08}"
    return signed(encode(message_event("hello", chat_id="491550000001@c.us", message_id=bare_id)))


def signed(body: bytes) -> Asked:
    """Any body with its signature."""
    return Asked(body, tuple(signed_headers(body, SECRET).items()))


def _known() -> Asked:
    return message("KNOWN")


def _unsigned() -> Asked:
    return Asked(message().body, ())


def _forged() -> Asked:
    asked = message()
    return Asked(asked.body.replace(b"hello", b"jello"), asked.fields)


KINDS: dict[str, tuple[Callable[[], Asked], int]] = {
    "new": (message, 202),
    "known": (_known, 200),
    "unwanted": (lambda: signed(encode(message_event("", chat_id="1@c.us", event="session.status"))), 200),
    "no JSON": (lambda: signed(b'{"event": "message"'), 400),
    "empty": (lambda: signed(b""), 400),
    "unsigned": (_unsigned, 401),
    "forged": (_forged, 401),
    "live": (lambda: Asked(b"", (), "GET", "/api/health/live"), 200),
    "nowhere": (lambda: Asked(b"", (), "GET", "/nowhere"), 404),
    "wrong method": (lambda: Asked(b"", (), "GET"), 405),
    "too long": (lambda: signed(b" " * (MAX_BODY + 1)), 413),
}
"""How to make one of each kind, and the status it gets."""


def plain(answer: Answer | None) -> tuple[int, tuple[tuple[str, str], ...], bytes] | None:
    """The parts of an answer that must be equal for equal requests."""
    if answer is None:
        return None
    headers = tuple(sorted(field for field in answer.headers if field[0] not in _CHANGES))
    return answer.status, headers, re.sub(rb"_\d{8}\b", b"_0", answer.body)
