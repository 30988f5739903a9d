"""Messages that have ended, which the database has yet to be told: it was away when they ended.

Each is an entry of a stream, with the whole record as JSON.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from service.accounts.database import MessageOutcome, MessageRecord
from service.lanes import Lane
from service.storage.store import Script, Store, fields_of

_KEEP = Script.load("keep")


class Kept(NamedTuple):
    """One of them. `record`: None where something else was put there."""

    id: str
    record: MessageRecord | None


class Unsettled:
    """Those of one lane. Methods raise `StoreError`."""

    def __init__(self, store: Store, lane: Lane) -> None:
        self._store = store
        self._lane = lane

    async def add(self, record: MessageRecord) -> None:
        """Keep *record*, also while Redis's memory is full."""
        fields = ("record", orjson.dumps(record))
        await self._store.run(_KEEP, [self._lane.unsettled], [self._lane.lane_ttl_s, *fields])

    async def page(self, after: str | None, size: int) -> list[Kept]:
        """The oldest *size* of those with ids above *after*."""
        start = f"({after}" if after else "-"
        entries = await self._store.call("XRANGE", self._lane.unsettled, start, "+", "COUNT", size)
        return [Kept(entry_id.decode(), _record(parts)) for entry_id, parts in entries]

    async def remove(self, kept: Kept) -> bool:
        """Forget one; false if it was gone."""
        return bool(await self._store.call("XDEL", self._lane.unsettled, kept.id))


def _record(parts: list[bytes]) -> MessageRecord | None:
    try:
        fields = orjson.loads(fields_of(parts)[b"record"])
        return MessageRecord(**{**fields, "outcome": MessageOutcome(fields["outcome"])})
    except (LookupError, TypeError, ValueError):
        return None
