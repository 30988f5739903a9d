"""Bodies of answers: no more of them than was asked for is ever held."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp
import pytest
from peer_kit import Answer, Request, answering, running_peer

from service.response_body import BodyTooLong, read_body

MOST = 100_000


async def read_from(answer: Answer) -> bytes:
    """What is read of an *answer*."""
    async with running_peer(answer) as peer, aiohttp.ClientSession() as http, http.get(peer.url) as response:
        return await read_body(response, MOST)


@pytest.mark.parametrize("size", [0, 1, MOST])
async def test_body_within_the_bound_is_whole(size: int) -> None:
    """Exactly the bound is allowed."""
    body = bytes(number % 251 for number in range(size))
    assert await read_from(answering(200, body)) == body


@pytest.mark.parametrize("size", [MOST + 1, 50 * MOST])
async def test_body_beyond_the_bound_is_refused(size: int) -> None:
    """One byte more is too much, and the error says how much is allowed."""
    with pytest.raises(BodyTooLong, match="more than 100000 bytes"):
        await read_from(answering(200, b"x" * size))


async def test_body_without_end_is_refused() -> None:
    """Reading ends, although the body does not."""

    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    with pytest.raises(BodyTooLong):
        await read_from(endless)


async def test_body_is_bounded_as_it_unfolds() -> None:
    """A small body that inflates counts with what it becomes."""
    body = gzip.compress(b"x" * 50 * MOST)
    assert len(body) < MOST
    with pytest.raises(BodyTooLong):
        await read_from(answering(200, body, "Content-Encoding: gzip"))
