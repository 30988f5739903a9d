"""Redis over its own protocol.

Nothing is ever sent twice: a command whose connection broke before its answer may have been done, and only
its caller knows whether doing it again is safe. A connection that Redis closed while nothing was under way is
noticed when it happens, and the next command opens a new one.

Of a cluster it needs one node, since all keys are in one slot (`service/lanes.py`): the one of the URL, or
where that one sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from service.storage.batches import Batches, Call
from service.storage.redis_link import Address, Link
from service.storage.store import (
    Argument,
    Command,
    Moved,
    Place,
    Script,
    StoreAway,
    StreamEntries,
    stream_entries,
)


class RedisStore:
    """See `Store`. It has a connection for commands, and one for reads that wait; both open when needed."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """*url* as redis-py reads it; *timeout_s* bounds each round trip, connecting included."""
        self._timeout_s = timeout_s
        self._main = _Line(Address(url))
        self._reads = _Line(Address(url))
        self._batches = Batches(self._send)

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """See `Store.call`."""
        return self._batches.put(command)

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        at_once: bool = False,
    ) -> asyncio.Future[Any]:
        """See `Store.run`."""
        return self._batches.put((len(keys), *keys, *arguments), script, at_once=at_once)

    async def read_group(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int, block_ms: int
    ) -> list[StreamEntries]:
        """See `Store.read_group`."""
        reader: Command = ("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "BLOCK", block_ms)
        command = (*reader, "STREAMS", *streams, *(">" for _ in streams))
        timeout_s = self._timeout_s + block_ms / 1000
        reply = await self._read(command, timeout_s)
        if isinstance(reply, Moved):
            reply = await self._read(command, timeout_s)
        if isinstance(reply, Exception):
            raise reply
        return stream_entries(reply)

    async def _read(self, command: Command, timeout_s: float) -> Any:
        async with self._reads.open(timeout_s) as link:
            (reply,) = await link.ask([command])
        return reply

    def _send(self, calls: Sequence[Call]) -> asyncio.Future[list[Any]]:
        link = self._main.link
        if link is None:
            return asyncio.ensure_future(self._connect_and_send(calls))
        asked = _ask(link, calls)
        timer = asyncio.get_running_loop().call_later(self._timeout_s, link.close, _too_late(self._timeout_s))
        asked.add_done_callback(lambda _: timer.cancel())
        return asked

    async def _connect_and_send(self, calls: Sequence[Call]) -> list[Any]:
        async with self._main.open(self._timeout_s) as link:
            return await _ask(link, calls)

    def open_connections(self) -> int:
        """How many connections are open now."""
        return sum(line.link is not None for line in (self._main, self._reads))

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._batches.aclose()
        self._main.close()
        self._reads.close()


def _ask(link: Link, calls: Sequence[Call]) -> asyncio.Future[list[Any]]:
    return link.ask([call.to_send(link.scripts) for call in calls])


def _too_late(timeout_s: float) -> str:
    return f"Redis did not answer within {timeout_s:g} s"


class _Line:
    """A connection that is opened again when it is needed and not there."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._link: Link | None = None
        self._place: Place | None = None
        """The node of a cluster that was found to have our keys; None: the URL's."""
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
            raise StoreAway(_too_late(timeout_s)) from error
        except asyncio.CancelledError:
            self.close()
            raise

    @property
    def link(self) -> Link | None:
        """The connection, if it is open now."""
        return self._link if self._link is not None and self._link.is_open else None

    async def _connected(self) -> Link:
        async with self._connecting:
            link = self.link
            if link is None:
                place = (self._link and self._link.moved_to) or self._place
                self._link = self._place = None  # if nobody is at that place, the URL's node is asked next
                link = self._link = await self._address.connect(place)
                self._place = place
            return link

    def close(self) -> None:
        """Close it; it can be opened again."""
        if self._link is not None:
            self._link.close()
