"""Messages that ended without a reply that is known to be sent: the dead letters, and the unknown outcomes.

Each is a record in one of two streams, the message as it was with why and when it ended (`inbox.Record`).
They stay until an operator puts them back or drops them, or the sender tells what became of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.event import Message, stored_message
from service.lanes import LIVE
from service.storage.store import Script, Store, fields_of

_REPLAY = Script.load("replay")
_GONE, _REPLAYED, _NO_ROOM = 0, 1, -1


class Kept(StrEnum):
    """Which of the two streams."""

    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class KeptMessage:
    """One record. By hand anything could have been put there: what lacks a field is shown without it."""

    id: str
    fields: dict[bytes, bytes] = field(repr=False)

    def text(self, name: str) -> str:
        """A field as text, empty where it is not there."""
        return self.fields.get(name.encode(), b"").decode(errors="replace")

    def number(self, name: str) -> int | None:
        """A field as a number, None where it is not there or no number."""
        value = self.fields.get(name.encode(), b"")
        return int(value) if value.isdigit() else None

    def message(self) -> Message | None:
        """The message, None where the record holds none that could be read."""
        return stored_message(self.fields)

    def described(self, now_ms: int) -> dict[str, Any]:
        """What may be shown of it: neither texts nor numbers of people. Times in ms since 1970."""
        received, message = self.number("received"), self.message()
        return {
            "id": self.id,
            "requestId": self.text("requestId"),
            "chat": self.text("chat"),
            "session": message.session if message else None,
            "reason": self.text("reason"),
            "attempts": self.number("attempts"),
            "received": received,
            "age_ms": None if received is None else max(0, now_ms - received),
            "ended": self.number("ended"),
            "replayed": self.text("replayed") == "1",
        }


@dataclass(frozen=True)
class Replayed:
    """How many were put back, and whether the queue had no room for more."""

    count: int
    is_full: bool


class KeptMessages:
    """The live lane's records of one kind. Methods raise what the store raises."""

    def __init__(self, store: Store, kept: Kept) -> None:
        self._store = store
        self._stream = LIVE.dead if kept is Kept.DEAD else LIVE.unknown

    async def count(self) -> int:
        """How many there are."""
        return int(await self._store.call("XLEN", self._stream))

    async def newest(self, limit: int) -> list[KeptMessage]:
        """The last *limit*, newest first."""
        return _kept(await self._store.call("XREVRANGE", self._stream, "+", "-", "COUNT", limit))

    async def last_id(self) -> str | None:
        """The id of the newest."""
        newest = await self.newest(1)
        return newest[0].id if newest else None

    async def page(self, after: str | None, through: str, size: int) -> list[KeptMessage]:
        """The oldest *size* of those with ids above *after*, up to *through*."""
        start = f"({after}" if after else "-"
        return _kept(await self._store.call("XRANGE", self._stream, start, through, "COUNT", size))

    async def named(self, ids: Sequence[str]) -> list[KeptMessage]:
        """Those with these *ids*, in the order of the ids given; what is not there is left out."""
        found = await asyncio.gather(*(self._store.call("XRANGE", self._stream, id_, id_) for id_ in ids))
        return [kept for entries in found for kept in _kept(entries)]

    async def replay(self, page: Sequence[KeptMessage], longest: int) -> Replayed:
        """Put these back, as long as the queue is shorter than *longest*."""
        turns = [LIVE.turn(kept.text("chat")) for kept in page]
        results = await self._store.run(
            _REPLAY, [LIVE.stream, self._stream, *turns], [longest, *(kept.id for kept in page)]
        )
        return Replayed(results.count(_REPLAYED), _NO_ROOM in results)

    async def delete(self, page: Sequence[KeptMessage]) -> int:
        """Delete these; how many were still there."""
        return int(await self._store.call("XDEL", self._stream, *(kept.id for kept in page)))


def _kept(entries: list[Any]) -> list[KeptMessage]:
    return [KeptMessage(entry_id.decode(), fields_of(parts)) for entry_id, parts in entries]
