"""Admit messages to their lane's stream: rate limit, claim and enqueue in one atomic step in Redis.

Messages that arrive in the same turn of the event loop, or while earlier ones are under way, share one call:
so a hundred senders cost one round trip and one write to the disk, and nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import accumulate
from typing import Any, Protocol

from service.lanes import Lane
from service.storage.known import known_name, known_period_s
from service.storage.store import Argument, DiskFailed, OutOfMemory, Script, Store
from service.webhooks.headroom import Headroom
from service.webhooks.rejected import MemoryFull, QueueFull, RateLimited, Rejected, Unavailable

FULL_RETRY_AFTER_S = 5
AWAY_RETRY_AFTER_S = 2

MAX_BATCH = 128
"""Messages in one call: Redis does nothing else meanwhile, about 1 ms."""

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""... and so many bytes of them: Upstash takes requests of 10 MB, in which a quote is two characters."""

ENOUGH = 8
"""Messages with which a call does not wait for its turn to end: Redis takes them while others are read."""

MAX_CALLS = 2
"""Calls under way at once: one is worked on while the next travels; more would only be smaller."""

_ADMIT = Script.load("admit", "known")
_DUPLICATE, _FULL = -1, -2


class Admitted(StrEnum):
    """What became of a message that is not refused."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class Arrival:
    """A verified message as it arrived. `body`: the event's bytes as sent; `received_ms`: since the epoch."""

    body: bytes
    identity: str
    chat: str
    address: str
    request_id: str
    received_ms: int


Verdict = Admitted | Rejected
"""What became of one arrival. `RateLimited`, `QueueFull`, `MemoryFull`: it was not taken. `Unavailable`: it
may or may not have been taken; asking again is safe."""

Done = Callable[[Verdict], None]

Waiting = tuple[Arrival, Done]


class Admission(Protocol):
    """Takes each message of one lane once (Redis in production, a dictionary in unit tests)."""

    def admit(self, arrival: Arrival, done: Done) -> None:
        """Claim and enqueue, or neither; then call *done*, once."""


class StreamAdmission:
    """Admission onto a lane's Redis stream."""

    def __init__(
        self, lane: Lane, store: Store, headroom: Headroom, *, per_minute: int, max_length: int
    ) -> None:
        self._lane = lane
        self._store = store
        self._headroom = headroom
        period_s = known_period_s(lane.lane_ttl_s)
        self._limits = (per_minute, max_length, period_s, lane.lane_ttl_s, lane.name.value)
        self._waiting: list[Waiting] = []
        self._calls: set[asyncio.Future[Any]] = set()

    def admit(self, arrival: Arrival, done: Done) -> None:
        """See `Admission.admit`."""
        self._waiting.append((arrival, done))
        if len(self._calls) >= MAX_CALLS:  # the next one begins when one has ended
            return
        if len(self._waiting) >= ENOUGH:
            self._begin()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Start calls with what waits now."""
        while self._waiting and len(self._calls) < MAX_CALLS:
            batch = self._next_batch()
            if self._headroom.is_short():
                _tell(batch, [_memory_full()] * len(batch))
                continue
            arrivals = [arrival for arrival, _ in batch]
            keys, arguments = self._keys(arrivals), self._arguments(arrivals)
            call = self._store.run(_ADMIT, keys, arguments, at_once=True)
            self._calls.add(call)
            call.add_done_callback(partial(self._end, batch))

    def _next_batch(self) -> list[Waiting]:
        """Take as many as go into one call."""
        sizes = accumulate(len(arrival.body) for arrival, _ in self._waiting[:MAX_BATCH])
        count = max(1, sum(size <= MAX_BATCH_BYTES for size in sizes))
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _end(self, batch: Sequence[Waiting], call: asyncio.Future[Any]) -> None:
        self._calls.discard(call)
        verdicts = self._verdicts(call, len(batch))
        self._begin()  # Redis works on the next ones while these are answered
        _tell(batch, verdicts)

    def _verdicts(self, call: asyncio.Future[Any], count: int) -> Sequence[Verdict]:
        try:
            return [_verdict(result) for result in call.result()]
        except OutOfMemory:
            return [_memory_full()] * count
        except DiskFailed:
            return [Unavailable("Redis cannot write to its disk", retry_after_s=FULL_RETRY_AFTER_S)] * count
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, senders wait for an answer
            away = Unavailable("the queue cannot be reached", retry_after_s=AWAY_RETRY_AFTER_S)
            away.__cause__ = error
            self._refuse_waiting(away)
            return [away] * count

    def _refuse_waiting(self, away: Unavailable) -> None:
        """Refuse what came meanwhile too: behind calls without an answer it waits longer than its sender."""
        waiting, self._waiting = self._waiting, []
        _tell(waiting, [away] * len(waiting))

    def _keys(self, arrivals: Sequence[Arrival]) -> list[str]:
        lane = self._lane
        keys = [lane.stream, lane.known]
        for arrival in arrivals:
            keys += (lane.rate(arrival.address), lane.turn(arrival.chat))
        return keys

    def _arguments(self, arrivals: Sequence[Arrival]) -> list[Argument]:
        arguments: list[Argument] = list(self._limits)
        for arrival in arrivals:
            about = (arrival.request_id, arrival.received_ms, arrival.chat, known_name(arrival.identity))
            arguments += (arrival.body, *about)
        return arguments


def _tell(batch: Sequence[Waiting], verdicts: Sequence[Verdict]) -> None:
    for (_, done), verdict in zip(batch, verdicts, strict=True):
        try:
            done(verdict)
        except Exception as error:  # the others of this batch wait for their answers too
            context = {"message": "A webhook's answer failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)


def _queue_full() -> QueueFull:
    return QueueFull("too many messages are waiting", retry_after_s=FULL_RETRY_AFTER_S)


def _memory_full() -> MemoryFull:
    return MemoryFull("Redis has no memory for more messages", retry_after_s=FULL_RETRY_AFTER_S)


def _verdict(result: int) -> Verdict:
    if result == 0:
        return Admitted.ACCEPTED
    if result == _DUPLICATE:
        return Admitted.DUPLICATE
    if result == _FULL:
        return _queue_full()
    return RateLimited("too many webhooks from this address", retry_after_s=-(-result // 1000))
