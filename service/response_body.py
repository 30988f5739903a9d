"""An answer's body, bounded by what arrives and what that unfolds to, not by what its headers announce."""

from __future__ import annotations

import aiohttp

UNCOMPRESSED = {"Accept-Encoding": "identity"}
"""Asks for a body that is as long as it comes: a small one could inflate."""


class BodyTooLong(Exception):
    """The body goes on behind what may be read of it."""


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The whole body, at most *max_bytes* long; of a longer one hardly more than that is ever held.

    Raises:
        BodyTooLong: it is longer.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > max_bytes:
            raise BodyTooLong(f"the answer has more than {max_bytes} bytes")
    return bytes(body)
