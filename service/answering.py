"""The message path: from an entry of the stream to a reply that is sent once, or a record of why not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import stamina

from service.event import Message, parse_event
from service.inbox import Entry, Inbox, Record, TakeState
from service.lanes import LaneName
from service.logs import Log
from service.messenger import Messenger, NotSent, OutcomeUnknown
from service.metrics import WorkerMetrics
from service.replies import Reply
from service.store import StoreError
from service.writer import Writer

T = TypeVar("T")


class Outcome(StrEnum):
    """How an attempt at a message ended."""

    SENT = "sent"
    RETRY = "retry"
    UNKNOWN = "unknown"
    DEAD = "dead"
    FAILED = "failed"


@dataclass(frozen=True)
class Answering:
    """Answers messages, each lane's through its own messenger."""

    inbox: Inbox
    writer: Writer
    messengers: Mapping[LaneName, Messenger]
    max_attempts: int
    metrics: WorkerMetrics
    log: Log

    async def handle(self, entry: Entry) -> None:
        """Answer *entry* if it is its turn. Never raises: what fails stays pending for later."""
        try:
            await self._answer(entry)
        except Exception as error:
            self._tell(entry, Outcome.FAILED, exc_info=error)

    async def _answer(self, entry: Entry) -> None:
        """Take, write, mark, send, finish."""
        state, attempt = await self.inbox.take(entry)
        if state in (TakeState.WAIT, TakeState.GONE):
            return
        if state is TakeState.UNKNOWN:
            await self._end(entry, Outcome.UNKNOWN, "a worker ended while it was sending", attempt)
        elif attempt > self.max_attempts:
            await self._end(entry, Outcome.DEAD, "its workers failed or died each time", attempt)
        else:
            reply = await self._write(entry)
            if await _surely(lambda: self.inbox.mark(entry, attempt)):
                await self._send(entry, reply, attempt)

    async def _write(self, entry: Entry) -> Reply:
        message = parse_event(entry.body)
        if not isinstance(message, Message):
            raise TypeError("the stream holds an event that is no message")
        text = await self.writer.write(message)
        return Reply(message.session, message.chat_id, text, message.payload_id)

    async def _send(self, entry: Entry, reply: Reply, attempt: int) -> None:
        """Send *reply*, which is marked, and settle the mark."""
        try:
            await self.messengers[entry.lane.name].send_text(reply)
        except OutcomeUnknown as error:
            await self._end(entry, Outcome.UNKNOWN, str(error), attempt)
        except NotSent as error:
            if attempt >= self.max_attempts:
                await self._end(entry, Outcome.DEAD, str(error), attempt)
            else:
                await _surely(lambda: self.inbox.unmark(entry))
                self._tell(entry, Outcome.RETRY, reason=str(error), attempt=attempt)
        else:
            await self._end(entry, Outcome.SENT, "", attempt)

    async def _end(self, entry: Entry, outcome: Outcome, reason: str, attempt: int) -> None:
        streams = {Outcome.UNKNOWN: entry.lane.unknown, Outcome.DEAD: entry.lane.dead}
        record = Record(streams[outcome], reason, attempt) if outcome in streams else None
        if await _surely(lambda: self.inbox.finish(entry, record)):
            self._tell(entry, outcome, attempt=attempt, **({"reason": reason} if reason else {}))

    def _tell(self, entry: Entry, outcome: Outcome, **fields: object) -> None:
        """Count the outcome and log it in the runbook's words."""
        lane, sent = entry.lane.name.value, outcome is Outcome.SENT
        waited_ms = time.time_ns() // 1_000_000 - entry.received_ms
        self.metrics.messages.labels(outcome.value, lane).inc()
        if sent:
            self.metrics.reply_seconds.labels(lane).observe(waited_ms / 1000)
        (self.log.info if sent else self.log.error)(
            "Message processed" if sent else "Message failed",
            webhook=True,
            _event="processed" if sent else "failed",
            requestId=entry.request_id,
            chat=entry.chat,
            lane=lane,
            outcome=outcome.value,
            waitedMs=waited_ms,
            **fields,
        )


async def _surely(step: Callable[[], Awaitable[T]]) -> T:
    """Do *step*, which may be repeated, however long Redis is away: its outcome must not be guessed."""
    async for attempt in stamina.retry_context(
        on=StoreError, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
    ):
        with attempt:
            return await step()
    raise AssertionError("unreachable: without a limit the loop ends by returning")
