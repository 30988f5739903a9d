"""A server on a free port that takes requests and answers them as told, or does not, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What came. `content`: the body's JSON."""

    path: str
    headers: dict[str, str]
    content: Any


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """What came, in its order, and the server's URL."""

    url: str
    answer: Answer
    requests: list[Request] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def answering(status: int, body: bytes = b"{}", *headers: str) -> Answer:
    """An answer with this status, body and further headers (`Name: value`)."""
    lines = [f"HTTP/1.1 {status} X", "Location: /elsewhere", f"Content-Length: {len(body)}", *headers]

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)

    return answer


def first(answer: Answer, then: Answer) -> Answer:
    """*answer* to the first request, *then* to all others."""
    answers = [answer]

    async def choose(request: Request, writer: asyncio.StreamWriter) -> None:
        await (answers.pop() if answers else then)(request, writer)

    return choose


async def silence(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """No answer."""


async def hang_up(_request: Request, writer: asyncio.StreamWriter) -> None:
    """The connection is closed instead."""
    writer.close()


async def nonsense(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Something that is not HTTP."""
    writer.write(b"what?\r\n\r\n")


async def trickle(_request: Request, writer: asyncio.StreamWriter) -> None:
    """The beginning of a status line, and then a byte now and then, without end."""
    writer.write(b"HTTP/1.1 20")
    while True:
        writer.write(b"0")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def running_peer(answer: Answer) -> AsyncIterator[Peer]:
    """A peer that does *answer* until it is told otherwise."""
    peer = Peer("", answer)
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # it is in one
        try:
            while True:
                request = await _read(reader)
                peer.requests.append(request)
                await peer.answer(request, writer)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(first_line.split(" ")[1], headers, json.loads(body) if body else None)
