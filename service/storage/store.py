"""The seam to Redis: commands and scripts, over whichever way Redis is reached.

Errors, all of them `StoreError`:

    StoreAway ─ no connection, or no answer in time: whether the command was done is unknown
        └─ Moved ─ another node of a cluster has the keys: nothing was done (a store asks there itself)
    StoreFull ─ Redis takes no writes: nothing was done
        ├─ OutOfMemory
        └─ DiskFailed ─ it cannot keep what it takes
    StoreRefused ─ any other error reply; its message is Redis's
        └─ ScriptMissing ─ Redis does not have the script (a store answers this itself, by sending its text)
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Argument = bytes | str | int | float

Command = tuple[Argument, ...]

Place = tuple[str, int]
"""A host and a port."""

GroupEntry = tuple[bytes, dict[bytes, bytes]]
"""An entry's id and fields."""

StreamEntries = tuple[bytes, list[GroupEntry]]
"""A stream's key and its entries."""

_LUA = Path(__file__).parent.parent / "lua"

_NO_MEMORY = ("OOM ", "ERR DB capacity quota exceeded")
"""How the error replies of a Redis without room begin; the last is Upstash's."""

_MOVED = re.compile(r"MOVED \d+ (?P<host>.*):(?P<port>\d+)")

_AWAY = frozenset(
    {"LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ASK", "UNBLOCKED"}
)
"""Replies of a Redis that is no use now and will be later, or in another place."""


class StoreError(Exception):
    """Redis did not do what was asked, or nobody knows."""


class StoreAway(StoreError):
    """Redis cannot be reached, or gave no answer in time; whether the command was done is unknown."""


class Moved(StoreAway):
    """Another node of a cluster has the keys. Nothing was done."""

    def __init__(self, message: str, place: Place) -> None:
        """*place*: that node's, its host empty if it is the one that we know."""
        super().__init__(message)
        self.place = place


class StoreFull(StoreError):
    """Redis takes no writes. Nothing was done."""


class OutOfMemory(StoreFull):
    """Its memory is full."""


class DiskFailed(StoreFull):
    """Its disk is full, or fails otherwise."""


class StoreRefused(StoreError):
    """Redis answered with another error, whose message this has."""


class ScriptMissing(StoreRefused):
    """Redis does not know a script by its digest."""


def refusal(message: str) -> StoreError:
    """The error that Redis's error reply *message* stands for."""
    code = message.partition(" ")[0]
    # Redis quotes the arguments of a command that it does not know; they may hold a message's text.
    told = message.partition(", with args")[0]
    if told.startswith(_NO_MEMORY):
        return OutOfMemory(told)
    if code == "MISCONF":
        return DiskFailed(told)
    if code in _AWAY:
        return StoreAway(told)
    if moved := _MOVED.fullmatch(told):
        return Moved(told, (moved["host"], int(moved["port"])))
    return ScriptMissing(told) if code == "NOSCRIPT" else StoreRefused(told)


@dataclass(frozen=True)
class Script:
    """A Lua script, known to Redis by its digest."""

    name: str
    text: bytes = field(repr=False)
    sha1: str

    @classmethod
    def load(cls, name: str, *parts: str) -> Script:
        """The script in `lua/{name}.lua`, with the *parts* that it uses put in after its first line."""
        first_line, _, rest = (_LUA / f"{name}.lua").read_bytes().partition(b"\n")
        text = b"\n".join([first_line, *((_LUA / f"{part}.lua").read_bytes() for part in parts), rest])
        # The digest is Redis's name for a script, no protection.
        return cls(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


class Store(Protocol):
    """Redis. Calls made in the same turn of the event loop share one round trip, in their order."""

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Do one command, whether its future is awaited or not.

        The reply is as RESP2 has it: bytes, a number, None, or a list of these.

        Raises:
            StoreError: see the module.
        """

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        at_once: bool = False,
    ) -> asyncio.Future[Any]:
        """Run *script*; raises and answers like `call`.

        *at_once*: for callers that have gathered a turn's work themselves; what else waits goes along.
        """

    async def read_group(
        self, group: str, consumer: str, streams: Sequence[str], *, count: int, block_ms: int
    ) -> list[StreamEntries]:
        """Up to *count* new entries of each stream, waiting up to *block_ms* (above 0) for the first.

        Raises:
            StoreError: what was read and did not arrive stays pending with *consumer*.
        """

    async def aclose(self) -> None:
        """Close the connections; calls under way end with `StoreAway`."""


def fields_of(parts: Sequence[Any]) -> dict[Any, Any]:
    """A reply that has names and values by turns, as RESP2 gives the fields of an entry or of a hash."""
    return dict(zip(parts[::2], parts[1::2], strict=True))


def stream_entries(reply: Any) -> list[StreamEntries]:
    """The reply to XREADGROUP, its lists of fields and values made dictionaries."""
    return [
        (stream, [(entry_id, fields_of(parts)) for entry_id, parts in entries])
        for stream, entries in reply or []
    ]
