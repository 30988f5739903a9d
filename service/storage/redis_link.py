"""One connection to Redis: commands go out in one write, replies come back in order."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.exceptions import RedisError

from service.storage.store import Command, Moved, Place, StoreAway, refusal

_pack = cast(Callable[[Command], bytes], hiredis.pack_command)  # its stub takes tuples of one

_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""A peer that vanished is noticed within a minute, also where nothing is sent."""


def _in_words(error: Exception) -> str:
    """What most often keeps us from Redis; of anything else the kind, since its text may quote the URL."""
    if isinstance(error, socket.gaierror):
        return "no host has the name that the URL gives"
    return "nothing listens there" if isinstance(error, ConnectionRefusedError) else type(error).__name__


@dataclass(slots=True)
class _Round:
    """Commands sent together, whose replies come one by one."""

    count: int
    done: asyncio.Future[list[Any]]
    replies: list[Any] = field(default_factory=list)


class Link(asyncio.Protocol):
    """A connection. When anything is wrong with it, it closes and all that waits ends with `StoreAway`.

    redis-py's connection would do as well, at twice the cost; and it would notice only at the next command
    that Redis has closed it. The figures are in docs/performance.md.
    """

    def __init__(self) -> None:
        self.scripts: set[str] = set()
        """Digests of the scripts that were sent whole over this connection."""
        self.moved_to: Place | None = None
        """The node of a cluster that has our keys, if this one has said that it does not."""
        self._reader = hiredis.Reader(protocolError=StoreAway, replyError=refusal)
        self._rounds: deque[_Round] = deque()
        self._transport: asyncio.Transport | None = None
        self._reason = "the connection to Redis was lost"

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent, and are of use."""
        return self._transport is not None and not self._transport.is_closing() and self.moved_to is None

    def ask(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send *commands*; the future has their replies, error replies as values.

        Giving up on it does no harm: its replies are read and dropped.
        """
        done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            done.set_exception(StoreAway("the connection to Redis was closed"))
            return done
        packed = b"".join(map(_pack, commands))
        self._rounds.append(_Round(len(commands), done))
        self._transport.write(packed)
        return done

    def close(self, reason: str = "the connection to Redis was lost") -> None:
        """Close it at once, so that no late answer is taken for another command's.

        What waits ends with `StoreAway` for that *reason*.
        """
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)  # uvloop writes at the turn's end what the buffer may hold

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        while self._rounds:
            done = self._rounds.popleft().done
            if not done.done():
                done.set_exception(StoreAway(self._reason))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:  # False: more has to come
                self._take(reply)
        except StoreAway:  # not Redis's protocol, or more replies than questions
            self.close()

    def _take(self, reply: Any) -> None:
        if not self._rounds:
            raise StoreAway("Redis answered what was not asked")
        if isinstance(reply, Moved):
            self.moved_to = reply.place
        first = self._rounds[0]
        first.replies.append(reply)
        if len(first.replies) == first.count:
            self._rounds.popleft()
            if not first.done.done():
                first.done.set_result(first.replies)
        if self.moved_to is not None and not self._rounds:
            self.close()


class Address:
    """Where Redis is and how to get in, read from a URL as redis-py does, `ssl_ca_certs` and all."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {**parse_url(url)}
        connection_class = options.pop("connection_class", Connection)
        self._told: Connection = connection_class(**options)

    async def connect(self, instead: Place | None = None) -> Link:
        """An open connection, logged in, on the right database.

        *instead*: another node of the same cluster, its host empty if that is the URL's.

        Raises:
            StoreAway: it cannot be reached.
            StoreRefused: it does not let us in.
        """
        told, loop = self._told, asyncio.get_running_loop()
        host, port = instead or (told.host, told.port)
        try:
            tls = told.ssl_context.get() if isinstance(told, SSLConnection) else None
            transport, link = await loop.create_connection(Link, host or told.host, port, ssl=tls)
        except (OSError, ValueError, RedisError) as error:  # TLS's are among these, and its wrong options'
            raise StoreAway(f"Redis cannot be reached: {_in_words(error)}") from error
        try:
            _keep_alive(transport.get_extra_info("socket"))
            await self._log_in(link)
        except BaseException:
            link.close()
            raise
        return link

    async def _log_in(self, link: Link) -> None:
        told = self._told
        commands: list[Command] = []
        if told.password:
            commands.append(("AUTH", *([told.username] if told.username else []), told.password))
        if told.db:
            commands.append(("SELECT", told.db))
        for reply in await link.ask(commands) if commands else []:
            if isinstance(reply, Exception):
                raise reply


def _keep_alive(opened: socket.socket) -> None:
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        opened.setsockopt(socket.IPPROTO_TCP, option, value)
