"""What the tests of the stores share: a line to Redis to be watched and cut, and Upstash on the sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvicorn
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.upstash import upstash_app
from service.lanes import GROUP, LIVE
from service.storage.store import Script, Store

TOKEN = "a test's token"

PAUSED_S = 60
"""For how long at most a Redis keeps writes back."""

Address = tuple[str, int]

_ECHO = b"return {KEYS[1], ARGV[1]}"
ECHO = Script("echo", _ECHO, hashlib.sha1(_ECHO).hexdigest())


@dataclass
class Rig:
    """A store, what its round trips were, and a client that looks at its Redis from outside."""

    store: Store
    trips: list[bytes]
    redis: Redis


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 30) -> None:
    """Return as soon as *condition* holds; fail after *timeout_s*."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - Redis has no event to wait for
            await asyncio.sleep(0.005)


@asynccontextmanager
async def keeping_writes_back(redis: Redis) -> AsyncIterator[None]:
    """Redis answers no write, and nothing that comes behind one, for the length of the block.

    All other commands it takes: one that is to end a pause of all of them would have to wait for its end.
    """
    await redis.client_pause(PAUSED_S * 1000, all=False)
    try:
        yield
    finally:
        await redis.client_unpause()


async def pass_by(store: Store, seconds: float) -> None:
    """As if all who hold live messages had not been seen for so many *seconds* more. Nobody waits."""
    for entry_id, holder, idle_ms, _ in await store.call("XPENDING", LIVE.stream, GROUP, "-", "+", 100):
        older_ms = idle_ms + round(seconds * 1000)
        await store.call("XCLAIM", LIVE.stream, GROUP, holder, 0, entry_id, "IDLE", older_ms, "JUSTID")


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Proxy:
    """A TCP proxy in front of Redis. `sent`: what clients sent, a piece for each read of the socket."""

    port: int = 0
    sent: list[bytes] = field(default_factory=list)
    connections: int = 0
    speaking: asyncio.Event = field(default_factory=_set_event)
    """While not set, Redis's answers are kept back, and given when it is set again."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Close all connections, in both directions."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, there: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to *there*."""
        self.connections += 1
        try:
            redis_reader, redis_writer = await asyncio.open_connection(*there)
            self._writers |= {writer, redis_writer}
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._ask(reader, redis_writer))
                directions.create_task(self._answer(redis_reader, writer))
        except* OSError:
            pass  # it was cut
        finally:
            self.cut_one(writer)
            self.cut_one(redis_writer)

    def cut_one(self, writer: asyncio.StreamWriter) -> None:
        """Forget one end of a connection."""
        writer.transport.abort()
        self._writers.discard(writer)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            self.sent.append(data)
            writer.write(data)
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            await self.speaking.wait()
            writer.write(data)
        writer.transport.abort()


@asynccontextmanager
async def running_proxy(redis_url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy to the Redis at *redis_url*, speaking TLS with its clients if it has a context."""
    proxy, parts = Proxy(), urlsplit(redis_url)
    there = (parts.hostname or "127.0.0.1", parts.port or 6379)
    carrying: set[asyncio.Task[None]] = set()

    def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(there, reader, writer))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


def counted(app: ASGIApp, trips: list[bytes]) -> ASGIApp:
    """*app*, with the path of each request noted in *trips*."""

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        trips.append(scope["path"].encode())
        await app(scope, receive, send)

    return counting


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """The URL of *app* on a free port, served in this event loop."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def running_upstash(redis_url: str, trips: list[bytes]) -> AsyncIterator[str]:
    """The URL of Upstash's REST API in front of the Redis at *redis_url*."""
    async with serving(counted(upstash_app(redis_url), trips)) as url:
        yield url


@asynccontextmanager
async def serving_bytes(answer: bytes) -> AsyncIterator[int]:
    """The port of a server that gives each connection *answer* and keeps it open."""

    async def give(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    server = await asyncio.start_server(give, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
