"""The sink of a gate lane: what would have been sent is recorded here, and read by the suites."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from service.lanes import Lane
from service.storage.store import Argument, Script, Store, fields_of
from service.webhooks.rejected import Malformed

MAX_PAGE = 1000
MAX_KEPT = 100_000

_RECORD = Script.load("record")
_CURSOR = re.compile(r"\d{1,20}(-\d{1,20})?")


@dataclass(frozen=True)
class Reply:
    """A text for a chat. `reply_to` is the whole payload id of the message answered."""

    session: str
    chat_id: str
    text: str
    reply_to: str


class RecordedReplies:
    """One gate lane's recorded replies."""

    def __init__(self, store: Store, lane: Lane) -> None:
        self._store = store
        self._lane = lane

    async def record(self, reply: Reply) -> None:
        """Keep *reply* with the present time."""
        fields: dict[str, Argument] = {
            "session": reply.session,
            "chatId": reply.chat_id,
            "text": reply.text,
            "replyTo": reply.reply_to,
            "time": time.time_ns() // 1_000_000,
        }
        parts = [part for pair in fields.items() for part in pair]
        await self._store.run(_RECORD, [self._lane.replies], [MAX_KEPT, self._lane.lane_ttl_s, *parts])

    async def page(self, after: str, limit: str) -> dict[str, Any]:
        """Up to *limit* replies after the cursor *after* (both as the client gave them), and the next cursor.

        Raises:
            Malformed: a parameter is not what it should be.
            StoreError: Redis did not answer.
        """
        if not _CURSOR.fullmatch(after):
            raise Malformed("after should be 0 or the `next` of an earlier answer")
        if not re.fullmatch(r"\d{1,4}", limit) or not 1 <= int(limit) <= MAX_PAGE:
            raise Malformed(f"limit should be a number from 1 to {MAX_PAGE}")
        entries = await self._store.call("XRANGE", self._lane.replies, f"({after}", "+", "COUNT", int(limit))
        cursor = entries[-1][0].decode() if entries else after
        return {"replies": [_as_json(parts) for _, parts in entries], "next": cursor}


def _as_json(parts: list[bytes]) -> dict[str, Any]:
    fields = fields_of(parts)
    texts = {name: fields[name.encode()].decode() for name in ("session", "chatId", "text", "replyTo")}
    return {**texts, "time": int(fields[b"time"])}
