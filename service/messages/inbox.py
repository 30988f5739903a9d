"""The worker's side of the streams: read, take, mark, finish, and find what was left behind.

Redis keeps for each entry who holds it, since when, and how often it was delivered, which is the number of
attempts. Nothing about an entry is kept in a process that a crash could lose. The life of an entry:

    added ─ read ─ take ─┬─ wait: an earlier message of the chat is not done; taken again later
                         ├─ unknown: somebody died while sending
                         └─ go ─ mark ─ (send) ─┬─ finish: acknowledged, deleted, perhaps recorded
                                                └─ unmark: surely not sent; taken again after a pause
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from service.lanes import DAY_S, GROUP, Lane
from service.storage.store import Argument, Script, Store, fields_of

SILENT_CONSUMER_MS = 600_000
"""Consumers that hold nothing and were not seen for this long are forgotten."""

SCAN_COUNT = 200

JITTER = 0.25
"""Of a pause, by which it may be longer."""

_OPEN, _TAKE, _RENEW, _MARK, _UNMARK, _FINISH = map(
    Script.load, ("open", "take", "renew", "mark", "unmark", "finish")
)


@dataclass(frozen=True)
class Entry:
    """One message in a lane's stream. `is_fresh`: it was just read, which Redis counts as its first attempt.

    What lacks a field, put there by hand or by another version, must become a dead letter and not stop us.
    """

    lane: Lane
    id: str
    fields: dict[bytes, bytes] = field(repr=False)
    is_fresh: bool = True

    @property
    def chat(self) -> str:
        """The pseudonym of the chat."""
        return self.fields.get(b"chat", b"").decode(errors="replace")

    @property
    def request_id(self) -> str:
        """The id of the webhook that brought it."""
        return self.fields.get(b"requestId", b"").decode(errors="replace")

    @property
    def received_ms(self) -> int:
        """When the webhook came, in ms since the epoch."""
        received = self.fields.get(b"received", b"")
        return int(received) if received.isdigit() else 0

    @property
    def is_replayed(self) -> bool:
        """Whether an operator put it back."""
        return self.fields.get(b"replayed") == b"1"


class TakeState(StrEnum):
    """What `lua/take.lua` says."""

    GO = "go"
    WAIT = "wait"
    UNKNOWN = "unknown"
    GONE = "gone"


@dataclass(frozen=True)
class Record:
    """Why a message ended without a reply that is known to be sent. `reason` holds no text of the message."""

    stream: str
    reason: str
    attempts: int


@dataclass(frozen=True)
class RetryPolicy:
    """The pauses between attempts, doubling from `base_s` to `cap_s`, and each up to a `JITTER` longer."""

    base_s: float
    cap_s: float

    @property
    def longest_s(self) -> float:
        """No pause is longer."""
        return self.cap_s * (1 + JITTER)

    def pause_ms(self, attempts: int, entry_id: str) -> int:
        """How long this entry rests after its *attempts*-th attempt; not if it only waited for its turn.

        The jitter is the same whenever it is asked for: a thousand chats do not come back in one moment, and
        none comes back early because many looked.
        """
        if attempts == 0:
            return 0
        # The exponent is bounded first: a count that is far off would not fit a float.
        pause_s = min(self.cap_s, self.base_s * float(1 << min(attempts - 1, 30)))
        share = zlib.crc32(f"{entry_id}:{attempts}".encode()) / 2**32
        return round(pause_s * (1 + JITTER * share) * 1000)


class Inbox:
    """The streams as one worker process, *consumer*, sees them. Methods raise `StoreError`."""

    def __init__(self, store: Store, consumer: str, *, lease_s: float, retry: RetryPolicy) -> None:
        self._store = store
        self._consumer = consumer
        self._lease_ms = round(lease_s * 1000)
        self._retry = retry
        self._looked_to: dict[tuple[Lane, bool], str] = {}

    async def open(self, lane: Lane) -> None:
        """Ensure that the lane's stream and group exist; they may be new, expired, or lost with the data."""
        await self._store.run(_OPEN, [lane.stream], [GROUP, lane.lane_ttl_s, SILENT_CONSUMER_MS])

    async def keep_alive(self, lane: Lane) -> None:
        """Let a lane that expires live on while it has a worker."""
        if lane.lane_ttl_s:
            await self._store.call("EXPIRE", lane.stream, lane.lane_ttl_s)

    async def read(self, lanes: list[Lane], *, count: int, block_ms: int) -> list[Entry]:
        """Up to *count* new entries of each lane, waiting up to *block_ms* for the first."""
        by_stream = {lane.stream.encode(): lane for lane in lanes}
        found = await self._store.read_group(
            GROUP, self._consumer, [lane.stream for lane in lanes], count=count, block_ms=block_ms
        )
        return [
            Entry(by_stream[stream], entry_id.decode(), fields)
            for stream, entries in found
            for entry_id, fields in entries
        ]

    async def due(self, lane: Lane, in_hand: Collection[str]) -> list[Entry]:
        """Entries to take again: own ones after their pause, and those that dead workers left behind.

        Each call looks at the next page of either kind: many that rest must not hide one that is due.
        """
        own = await self._pending(lane, is_own=True)
        left = await self._pending(lane, is_own=False)
        return await self._load(lane, [entry_id for entry_id in own + left if entry_id not in in_hand])

    async def _pending(self, lane: Lane, *, is_own: bool) -> list[str]:
        """Ids of entries whose pause is over: our own, or what others have not touched for a lease."""
        idle_ms, whose = (0, [self._consumer]) if is_own else (self._lease_ms, [])
        start = self._looked_to.pop((lane, is_own), "-")
        found = await self._store.call(
            "XPENDING", lane.stream, GROUP, "IDLE", idle_ms, start, "+", SCAN_COUNT, *whose
        )
        if len(found) == SCAN_COUNT:
            self._looked_to[lane, is_own] = f"({found[-1][0].decode()}"
        return [
            entry_id.decode()
            for entry_id, holder, idle_for_ms, deliveries in found
            if (holder == self._consumer.encode()) is is_own
            and idle_for_ms >= self._retry.pause_ms(deliveries, entry_id.decode())
        ]

    async def _load(self, lane: Lane, entry_ids: Sequence[str]) -> list[Entry]:
        found = await asyncio.gather(
            *(self._store.call("XRANGE", lane.stream, entry_id, entry_id) for entry_id in entry_ids)
        )
        return [
            Entry(lane, entry_id, fields_of(parts), is_fresh=False)
            for entry_id, entries in zip(entry_ids, found, strict=True)
            for _, parts in entries
        ]

    async def renew(self, lane: Lane, entry_ids: Iterable[str]) -> None:
        """Show that this worker lives and has these entries in hand; what another has by now stays there."""
        ids = list(entry_ids)
        if ids:
            await self._store.run(_RENEW, [lane.stream], [GROUP, self._consumer, *ids])

    async def take(self, entry: Entry) -> tuple[TakeState, int]:
        """Whether to work on *entry* now, and which attempt that is."""
        lane = entry.lane
        state, attempts = await self._store.run(
            _TAKE,
            [lane.stream, lane.turn(entry.chat), lane.sending(entry.id)],
            [GROUP, self._consumer, entry.id, self._lease_ms, int(entry.is_fresh)],
        )
        return TakeState(state.decode()), int(attempts)

    async def mark(self, entry: Entry, attempt: int) -> bool:
        """Mark *entry* as being sent; false if it is another's, or done."""
        lane = entry.lane
        marked = await self._store.run(
            _MARK,
            [lane.stream, lane.sending(entry.id)],
            [GROUP, self._consumer, entry.id, self._token(attempt), lane.lane_ttl_s or 7 * DAY_S],
        )
        return bool(marked)

    async def unmark(self, entry: Entry, attempt: int) -> None:
        """Say that *entry*, marked by this *attempt* of ours, was surely not sent."""
        await self._store.run(_UNMARK, [entry.lane.sending(entry.id)], [self._token(attempt)])

    def _token(self, attempt: int) -> str:
        return f"{self._consumer}:{attempt}"

    async def finish(self, entry: Entry, record: Record | None = None, forgotten: Sequence[str] = ()) -> bool:
        """End *entry*; with a *record*, keep it there with its reason. False if it had ended before.

        The keys *forgotten* are deleted with it.
        """
        lane = entry.lane
        records = record.stream if record else lane.dead
        ended = await self._store.run(
            _FINISH,
            [lane.stream, lane.turn(entry.chat), records, lane.sending(entry.id), *forgotten],
            [GROUP, entry.id, lane.lane_ttl_s, *(_record_fields(entry, record) if record else [])],
        )
        return bool(ended)


def _record_fields(entry: Entry, record: Record) -> list[Argument]:
    """The entry as it was, with why and when it ended: field and value by turns."""
    ending: dict[bytes, Argument] = {
        b"entry": entry.id,
        b"reason": record.reason,
        b"attempts": record.attempts,
        b"ended": time.time_ns() // 1_000_000,
    }
    return [part for pair in (entry.fields | ending).items() for part in pair]
