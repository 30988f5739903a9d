"""Read a request's body: bounded in size and in time, whatever its headers claim."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Receive

from service.rejected import BodyTimeout, Malformed, TooLarge


class ClientGone(Exception):
    """The client closed the connection before the body was complete; nobody is there to be answered."""


async def read_bounded(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, max_bytes: int, timeout_s: float
) -> bytes:
    """The whole body, at most *max_bytes* long.

    Raises:
        TooLarge, BodyTimeout, Malformed: the body is too long, too slow, or its Content-Length is no number.
        ClientGone: the connection ended first.
    """
    _refuse_announced(headers, max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(receive, max_bytes)
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {timeout_s:g} s") from None


def _refuse_announced(headers: Iterable[tuple[bytes, bytes]], max_bytes: int) -> None:
    """Refuse a body by its announced length before reading any of it."""
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise Malformed("Content-Length is not a number")
            # More than 15 digits are too many for any limit, and for int() in the end.
            if len(value) > 15 or int(value) > max_bytes:
                raise TooLarge(f"the body may have up to {max_bytes} bytes")


async def _collect(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"the body may have up to {max_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
