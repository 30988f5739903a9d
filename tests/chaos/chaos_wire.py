"""HTTP/1 byte by byte: connections that send exactly what they are told, and read whole answers strictly."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from contracts.webhook import WEBHOOK_PATH

WAITS_S = 30.0
READY = b"GET /api/health/ready HTTP/1.1\r\nHost: chaos\r\n\r\n"
LIVE = b"GET /api/health/live HTTP/1.1\r\nHost: chaos\r\n\r\n"

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d)(?: [ -~]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~]*?)[ \t]*")


class NotHttp(AssertionError):
    """What the server sent is no well-formed answer."""


@dataclass(frozen=True)
class Answer:
    """One whole answer. Names of `headers` are in lowercase."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the header *name*."""
        return dict(self.headers).get(name)


class Wire:
    """One connection from *source* to a port of this machine; no answer in time is a TimeoutError."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), WAITS_S, (source, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def send(self, *pieces: bytes) -> bool:
        """Send each piece by itself; false if the server has closed the connection meanwhile."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except OSError:
            return False
        return True

    def answer(self, *, interim: bool = False) -> Answer | None:
        """The next answer, 1xx only if *interim*; None if the server closes the connection instead."""
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return None
            status, headers = _parse_head(head)
            if interim or status >= 200:
                return Answer(status, headers, b"" if status < 200 else self._body(dict(headers)))

    def end(self) -> bytes:
        """Send nothing more, and read what comes until the server closes the connection too."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self._more():
                continue
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
        return self._read

    def cut(self) -> None:
        """Drop the connection with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._socket.close()

    def _body(self, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length")
        if length is None:
            raise NotHttp("an answer without Content-Length")
        while len(self._read) < int(length):
            if not self._more():
                raise NotHttp("an answer that ends early")
        body, self._read = self._read[: int(length)], self._read[int(length) :]
        return body

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._read:
            try:
                if not self._more():
                    break
            except ConnectionError:
                break
        if mark not in self._read:
            if self._read:
                raise NotHttp(f"an answer that ends early: {self._read[:80]!r}")
            return None
        head, _, self._read = self._read.partition(mark)
        return head

    def _more(self) -> bool:
        data = self._socket.recv(65_536)
        self._read += data
        return bool(data)


def _parse_head(head: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if status is None or None in fields:
        raise NotHttp(f"not the head of an answer: {head[:200]!r}")
    return int(status[1]), tuple((field[1].decode().lower(), field[2].decode()) for field in fields if field)


def request(
    body: bytes = b"",
    headers: Iterable[tuple[str, str]] = (),
    *,
    method: str = "POST",
    path: str = WEBHOOK_PATH,
    version: str = "HTTP/1.1",
) -> bytes:
    """A well-formed request with Host and Content-Length."""
    fields = [("Host", "chaos"), ("Content-Length", str(len(body))), *headers]
    return head(f"{method} {path} {version}", fields) + body


def head(first: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A request's head."""
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def all_read(port: int) -> None:
    """Return when the server has read all that was sent to it before, on whatever connection.

    It is one event loop: two answers on a later connection mean that it went around with all of it readable.
    """
    with Wire(port) as wire:
        for _ in range(2):
            wire.send(LIVE)
            wire.answer()
