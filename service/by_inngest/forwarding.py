"""The worker's side of Inngest: in place of answering a live message, it tells Inngest of it.

The message stays in the stream, in Inngest's hand (`custody.py`), until a run has finished it. Of
one that comes back, because Inngest could not be told or no run got it done, Inngest is told again; after
`FORWARDS` attempts the worker answers it itself: with Inngest away messages are late, and none is lost. An
event carries no text and no number, only where the message stands.

A gate's messages are always answered by the worker: Inngest calls the public address, which is the live
release's and not that of the candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter

from service.by_inngest.custody import Hands
from service.by_inngest.events import Events, NotTold
from service.event import Message, stored_message
from service.lanes import LaneName
from service.messages.answering import Answering
from service.messages.inbox import Entry, Inbox, TakeState
from service.messages.report import about
from service.telemetry.logs import Log

FORWARDS = 3
"""Attempts at a message that are Inngest's. With a lease of 30 s it has about 90 s to run it."""


class ForwardingMetrics:
    """What a worker counts of its messages to Inngest."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "inngest_events_total",
            "Live messages by whether Inngest was told of them: told, not_told, or answered by the worker",
            ["outcome"],
            registry=registry,
        )


@dataclass(frozen=True)
class Forwarding:
    """Handles entries as `Answering` does, by Inngest where it can."""

    inbox: Inbox
    hands: Hands
    events: Events
    answering: Answering
    release: str
    metrics: ForwardingMetrics
    log: Log

    async def handle(self, entry: Entry) -> None:
        """Tell Inngest of *entry* if it is its turn. Never raises: what fails stays pending for later."""
        if entry.lane.name is not LaneName.LIVE:
            await self.answering.handle(entry)
            return
        try:
            await self._forward_or_answer(entry)
        except Exception as error:
            self.answering.report.failed(entry, error)

    async def _forward_or_answer(self, entry: Entry) -> None:
        state, attempt = await self.inbox.take(entry)
        message = stored_message(entry.fields)
        if state is TakeState.GO and attempt <= FORWARDS and message:
            await self._forward(entry, message, attempt)
            return
        if state is TakeState.GO:
            self._count("answered")
            self.log.warning("Inngest did not get it done, the worker answers", **_fields(entry, attempt))
        await self.answering.answer(entry, state, attempt)

    async def _forward(self, entry: Entry, message: Message, attempt: int) -> None:
        """Give, then tell: a run that comes at once must find the message in Inngest's hand."""
        if await self.hands.give(entry.id) is None:
            return  # our lease was over, and another has it
        try:
            await self.events.send(_event_id(entry, message), self._data(entry))
        except NotTold as error:
            await self.hands.receive(entry.id)  # told again after a pause; a run that has it keeps it
            self._count("not_told")
            self.log.warning("Inngest was not told", reason=str(error), **_fields(entry, attempt))
        else:
            self._count("told")
            self.log.info("Inngest was told", **_fields(entry, attempt))

    def _data(self, entry: Entry) -> dict[str, str]:
        return {
            "entry": entry.id,
            "chat": entry.chat,
            "requestId": entry.request_id,
            "release": self.release,
        }

    def _count(self, outcome: str) -> None:
        self.metrics.messages.labels(outcome).inc()


def _event_id(entry: Entry, message: Message) -> str:
    """The message's identity; a replayed one is a new wish, which Inngest must not take for the old one."""
    return f"{message.identity}:{entry.id}" if entry.is_replayed else message.identity


def _fields(entry: Entry, attempt: int) -> dict[str, object]:
    return {**about(entry), "attempt": attempt}
