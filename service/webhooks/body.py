"""Read a request's body: bounded in size and time, by what arrives and not by what its headers announce."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

from service.webhooks.rejected import BodyTimeout, TooLarge

DISCARD = 4
"""How many times the limit is read of a body that is too long, before its connection is closed.

Closed on while it still sends, a client may see a reset instead of its answer.
"""


class ClientGone(Exception):
    """The client closed the connection before the body was complete; nobody is there to be answered."""


async def read_bounded(receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """The whole body, at most *max_bytes* long; no more than that is ever held.

    Raises:
        TooLarge, BodyTimeout: the body is too long or too slow.
        ClientGone: the connection ended first.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(receive, max_bytes)
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {timeout_s:g} s") from None


async def _collect(receive: Receive, max_bytes: int) -> bytes:
    kept: list[bytes] = []
    size = 0
    async for chunk in _chunks(receive):
        size += len(chunk)
        if size <= max_bytes:
            kept.append(chunk)
        elif size <= max_bytes * DISCARD:
            kept.clear()
        else:
            break
    if size > max_bytes:
        raise TooLarge(f"the body may have up to {max_bytes} bytes")
    return b"".join(kept)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        yield message.get("body", b"")
