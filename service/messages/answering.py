"""The message path: from an entry of the stream to a reply that is sent once, or a record of why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.accounts.database import DatabaseFailed, MessageOutcome
from service.event import Message, stored_message
from service.lanes import LaneName
from service.messages.billing import record_of
from service.messages.desk import Desk
from service.messages.drafts import Drafts
from service.messages.first_sends import FirstSends, SendOutcome
from service.messages.inbox import Entry, Inbox, Record, TakeState
from service.messages.messenger import NotSent, OutcomeUnknown, SendDeferred, SendRefused
from service.messages.notices import Notices
from service.messages.replies import Reply
from service.messages.report import Ending, Outcome, Report
from service.messages.surely import surely
from service.messages.too_old import is_too_old
from service.messages.writer import FALLBACK, Writer
from service.storage.store import StoreError

_SETTLED_AS = {
    Outcome.SENT: MessageOutcome.ANSWERED,
    Outcome.RECONCILED: MessageOutcome.ANSWERED,
    Outcome.UNKNOWN: MessageOutcome.UNKNOWN,
    Outcome.DEAD: MessageOutcome.FAILED,
    Outcome.NO_CREDIT: MessageOutcome.NO_CREDIT,
    Outcome.STORED: MessageOutcome.STORED,
}
"""The outcomes that end a message, and what the database is told."""

_NOT_SENT_AS = {SendRefused: SendOutcome.REFUSED, SendDeferred: SendOutcome.UNAVAILABLE}
"""What tells a refusal of ours, and one of the moment, from a WAHA that could not be reached."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at an entry. `message`: None where it holds none."""

    entry: Entry
    message: Message | None
    number: int

    @property
    def is_repeated(self) -> bool:
        """Whether a reply may have been sent before, by an attempt that was told the contrary."""
        return self.number > 1 or self.entry.is_replayed


@dataclass(frozen=True)
class Patience:
    """How often a message is tried, and until what age."""

    max_attempts: int
    max_age_s: float


@dataclass(frozen=True)
class Answering:
    """Answers messages, each lane's at its own desk."""

    inbox: Inbox
    desks: Mapping[LaneName, Desk]
    patience: Patience
    notices: Notices
    report: Report
    first_sends: FirstSends
    drafts: Drafts = field(default_factory=Drafts)

    async def handle(self, entry: Entry) -> None:
        """Answer *entry* if it is its turn. Never raises: what fails stays pending for later."""
        try:
            await self.answer(entry, *await self.inbox.take(entry))
        except Exception as error:
            if not isinstance(error, StoreError):
                self._count_first(entry, SendOutcome.FAILED)
            self.report.failed(entry, error)

    async def answer(self, entry: Entry, state: TakeState, number: int) -> None:
        """Answer *entry*, which was taken with this result, or say what became of it."""
        if state in (TakeState.WAIT, TakeState.GONE):
            return
        attempt = Attempt(entry, stored_message(entry.fields), number)
        if state is TakeState.UNKNOWN:
            await self._give_up(attempt, Outcome.UNKNOWN, "a worker ended while it was sending")
        elif number > self.patience.max_attempts:
            await self._give_up(attempt, Outcome.DEAD, "its workers failed or died each time")
        elif attempt.message is None:
            raise TypeError("the stream holds an event that is no message")
        elif self._is_too_old(entry, attempt.message):
            await self._end(attempt, Outcome.STORED)
        elif not (attempt.is_repeated and await self._was_sent(attempt)):
            await self._reply(attempt, attempt.message)

    async def _reply(self, attempt: Attempt, message: Message) -> None:
        """Reserve, write, mark, send, settle; nothing of it for a session that does not work."""
        desk = self.desks[attempt.entry.lane.name]
        try:
            desk.messenger.require(message)  # first of all: no credit is held, and no model asked in vain
            is_admitted = await desk.billing.admits(message)
            if is_admitted:
                desk.messenger.require(message, is_next=True)
        except NotSent as error:
            self._count_not_sent(attempt.entry, error)
            await self._postpone(attempt, str(error))
            return
        except DatabaseFailed:
            self._count_first(attempt.entry, SendOutcome.UNANSWERED)
            await self._postpone(attempt, "the database could not be asked for a credit")
            return
        if not is_admitted:
            await self._end(attempt, Outcome.NO_CREDIT)
            await self.notices.no_credit(message.tenant)
            return
        reply = await self._write(attempt, message, desk)
        if await surely(lambda: self.inbox.mark(attempt.entry, attempt.number)):
            await surely(lambda: desk.receipts.expect(message, reply))
            await self._send(attempt, reply)

    async def _write(self, attempt: Attempt, message: Message, desk: Desk) -> Reply:
        """Write, and let it be seen."""
        _, text = await asyncio.gather(
            desk.messenger.begin(message), self._text(attempt, message, desk.writer)
        )
        await desk.messenger.finish(message)
        return Reply(message.session, message.chat_id, text, message.payload_id)

    async def _text(self, attempt: Attempt, message: Message, writer: Writer) -> str:
        return self.drafts.take(attempt.entry.id) or await writer.write(message)

    async def _send(self, attempt: Attempt, reply: Reply) -> None:
        """Send *reply*, which is marked, and settle the mark."""
        try:
            await self.desks[attempt.entry.lane.name].messenger.send_text(reply)
        except OutcomeUnknown as error:
            self._count_first(attempt.entry, SendOutcome.UNANSWERED)
            await self._give_up(attempt, Outcome.UNKNOWN, str(error), reply)
        except NotSent as error:
            self._count_not_sent(attempt.entry, error)
            if reply.text != FALLBACK:
                self.drafts.keep(attempt.entry.id, reply.text)
            await self._postpone(attempt, str(error), is_marked=True)
        else:
            self._count_first(attempt.entry, SendOutcome.SENT)
            await self._end(attempt, Outcome.SENT, reply=reply)

    def _count_first(self, entry: Entry, outcome: SendOutcome) -> None:
        if entry.lane.name is LaneName.LIVE:
            self.first_sends.count(entry.id, outcome)

    def _count_not_sent(self, entry: Entry, error: NotSent) -> None:
        self._count_first(entry, _NOT_SENT_AS.get(type(error), SendOutcome.UNANSWERED))

    async def _postpone(self, attempt: Attempt, reason: str, *, is_marked: bool = False) -> None:
        """Leave it for a later attempt, unless this was the last."""
        if attempt.number >= self.patience.max_attempts:
            await self._give_up(attempt, Outcome.DEAD, reason)
            return
        if is_marked:
            await surely(lambda: self.inbox.unmark(attempt.entry, attempt.number))
        self.report.postponed(attempt.entry, reason, attempt.number)

    async def _give_up(
        self, attempt: Attempt, outcome: Outcome, reason: str, reply: Reply | None = None
    ) -> None:
        """Record why no reply is known to be sent, unless WAHA has told of one."""
        if not await self._was_sent(attempt):
            await self._end(attempt, outcome, reason, reply)

    async def _was_sent(self, attempt: Attempt) -> bool:
        """Whether WAHA has told of a reply to this message; if so, it has ended well."""
        message = attempt.message
        if message is None:
            return False
        receipts = self.desks[attempt.entry.lane.name].receipts
        text = await surely(lambda: receipts.proof(message))
        if text is None:
            return False
        reply = Reply(message.session, message.chat_id, text, message.payload_id)
        await self._end(attempt, Outcome.RECONCILED, reply=reply)
        return True

    async def _end(
        self, attempt: Attempt, outcome: Outcome, reason: str = "", reply: Reply | None = None
    ) -> None:
        """End the message. The database is told first: whoever takes over from us tells it again."""
        entry, message, lane = attempt.entry, attempt.message, attempt.entry.lane
        forgotten: Sequence[str] = ()
        if message:
            desk, said = self.desks[lane.name], reply.text if reply else ""
            await desk.billing.settle(
                record_of(message, _SETTLED_AS[outcome], reply=said, received_ms=entry.received_ms)
            )
            if reply and _SETTLED_AS[outcome] is MessageOutcome.ANSWERED:
                forgotten = desk.receipts.keys(message, reply)
        streams = {Outcome.UNKNOWN: lane.unknown, Outcome.DEAD: lane.dead}
        record = Record(streams[outcome], reason, attempt.number) if outcome in streams else None
        if await surely(lambda: self.inbox.finish(entry, record, forgotten)):
            self.report.ended(entry, message, Ending(outcome, attempt.number, reason))

    def _is_too_old(self, entry: Entry, message: Message) -> bool:
        now_ms = time.time_ns() // 1_000_000
        return is_too_old(entry, message, max_age_s=self.patience.max_age_s, now_ms=now_ms)
