"""Redis over its own protocol.

Nothing is ever sent twice: a command whose connection broke before its answer may have been done, and only
its caller knows whether doing it again is safe. A connection that Redis closed while nothing was under way is
noticed when it happens, and the next command opens a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from service.storage.batches import Batches, Call, ask_all
from service.storage.redis_link import Address, Link
from service.storage.store import Argument, Script, StoreAway, StreamEntries, stream_entries


class RedisStore:
    """See `Store`. It has a connection for commands, and one for reads that wait; both open when needed."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """*url* as redis-py reads it; *timeout_s* bounds each round trip, connecting included."""
        self._timeout_s = timeout_s
        self._main = _Line(Address(url))
        self._reads = _Line(Address(url))
        self._batches = Batches(self._send)

    async def call(self, *command: Argument) -> Any:
        """See `Store.call`."""
        return await self._batches.put(command)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """See `Store.run`."""
        return await self._batches.put((len(keys), *keys, *arguments), script)

    async def read_group(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int, block_ms: int
    ) -> list[StreamEntries]:
        """See `Store.read_group`."""
        command = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "BLOCK", block_ms)
        async with self._reads.open(self._timeout_s + block_ms / 1000) as link:
            (reply,) = await link.ask([(*command, "STREAMS", *streams, *(">" for _ in streams))])
        if isinstance(reply, Exception):
            raise reply
        return stream_entries(reply)

    async def _send(self, calls: Sequence[Call]) -> Sequence[Any]:
        async with self._main.open(self._timeout_s) as link:
            return await ask_all(link.ask, calls, link.scripts)

    def open_connections(self) -> int:
        """How many connections are open now."""
        return sum(line.is_open for line in (self._main, self._reads))

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._batches.aclose()
        self._main.close()
        self._reads.close()


class _Line:
    """A connection that is opened again when it is needed and not there."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    @asynccontextmanager
    async def open(self, timeout_s: float) -> AsyncIterator[Link]:
        """The connection; if its user is not done in time or gives up, it is closed.

        Raises:
            StoreAway: it cannot be opened, or *timeout_s* is over.
        """
        try:
            async with asyncio.timeout(timeout_s):
                yield await self._connected()
        except TimeoutError as error:
            self.close()
            raise StoreAway(f"Redis did not answer within {timeout_s:g} s") from error
        except asyncio.CancelledError:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it is open now."""
        return self._link is not None and self._link.is_open

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                self._link = await self._address.connect()
            return self._link

    def close(self) -> None:
        """Close it; it can be opened again."""
        if self._link is not None:
            self._link.close()
