"""Databases for the contract tests: on a real Redis, and on the sandbox's Convex."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from sandbox.convex import convex_app
from sandbox.convex_module import Tables
from sandbox.faults import Faults, Faulty
from sandbox.server import ClosableProtocol
from service.accounts.convex_database import ConvexDatabase, convex_session
from service.accounts.database import Database, MessageOutcome, MessageRecord
from service.accounts.redis_database import RedisDatabase
from service.storage.redis_store import RedisStore

DEPLOY_KEY = "prod:test-horse-1|key"
TIMEOUT_S = 30.0
"""Of a database that is there, however slow the machine is."""


class Backend(Protocol):
    """A place where databases can be opened, and their log looked at from outside."""

    def open(self, starting_credits: int | None) -> Any:
        """A context with a database."""

    async def logged(self, message: str) -> list[str]:
        """The outcomes that the log has of the message, oldest first."""


@dataclass
class RedisBackend:
    """The database on a Redis, under a prefix of its own."""

    url: str
    prefix: str = "{wa}"
    life_s: int = 0
    timeout_s: float = TIMEOUT_S

    @asynccontextmanager
    async def open(self, starting_credits: int | None = None) -> AsyncIterator[Database]:
        store = RedisStore(self.url, timeout_s=self.timeout_s)
        try:
            yield RedisDatabase(store, self.prefix, starting_credits, life_s=self.life_s)
        finally:
            await store.aclose()

    async def entries(self) -> list[dict[str, str]]:
        """The log's entries."""
        store = RedisStore(self.url, timeout_s=self.timeout_s)
        try:
            found = await store.call("XRANGE", f"{self.prefix}:log", "-", "+")
        finally:
            await store.aclose()
        texts = [[part.decode() for part in parts] for _, parts in found]
        return [dict(zip(parts[::2], parts[1::2], strict=True)) for parts in texts]

    async def logged(self, message: str) -> list[str]:
        return [entry["outcome"] for entry in await self.entries() if entry["message"] == message]


@dataclass
class ConvexBackend:
    """The sandbox's Convex on a port of its own; `faults` are for the service `convex`."""

    url: str = ""
    tables: Tables = field(default_factory=Tables)
    faults: Faults = field(default_factory=lambda: Faults(["convex"]))
    deploy_key: str = DEPLOY_KEY
    timeout_s: float = TIMEOUT_S

    @asynccontextmanager
    async def open(self, starting_credits: int | None = None) -> AsyncIterator[Database]:
        async with convex_session(self.url, self.deploy_key) as http:
            yield ConvexDatabase(http, starting_credits, timeout_s=self.timeout_s)

    async def logged(self, message: str) -> list[str]:
        return [entry["outcome"] for entry in self.tables.messages if entry["message"] == message]


@contextmanager
def running_convex() -> Iterator[ConvexBackend]:
    """A Convex that answers on a free port, under a path as in the sandbox."""
    backend = ConvexBackend()
    app = Faulty(convex_app(backend.tables, DEPLOY_KEY), "convex", backend.faults)
    config = uvicorn.Config(
        Starlette(routes=[Mount("/convex", app=app)]),
        port=0,
        http=ClosableProtocol,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server, sockets = uvicorn.Server(config), [config.bind_socket()]
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    backend.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/convex"
    try:
        yield backend
    finally:
        server.should_exit = True
        thread.join()


def record(outcome: MessageOutcome, message: str = "m1", **more: Any) -> MessageRecord:
    """A message of the tenant `t` that ended as *outcome*."""
    fields: dict[str, Any] = {
        "identity": message,
        "tenant": "t",
        "session": "default",
        "chat_id": "15551234567@c.us",
        "payload_id": f"false_15551234567@c.us_{message}",
        "text": "hello",
        "reply": "hi",
        "outcome": outcome,
        "received_ms": 1_764_000_000_000,
        "ended_ms": 1_764_000_000_500,
    }
    return MessageRecord(**(fields | more))
