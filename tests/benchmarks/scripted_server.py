"""A server for the generator's tests, which answers as a script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[[int], Awaitable[int]]
"""Given a request's number (from 0): the status to answer it with, 0 to close the connection."""


@asynccontextmanager
async def scripted_server(script: Script) -> AsyncIterator[int]:
    """The port of a server on loopback that answers each request as *script* says."""
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        while await reader.read(65_536):
            mine, number = number, number + 1
            status = await script(mine)
            if status == 0:
                break
            writer.write(b"HTTP/1.1 %d Whatever\r\nContent-Length: 2\r\n\r\n" % status)
            await writer.drain()
            writer.write(b"ok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
