"""The web's side of Inngest: one run receives one message and has it answered, as a worker would.

A run that did not get it done puts the message back into Inngest's hand and asks to be called again. Whether
it is done is never guessed: it is when it is no longer in the run's hand.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter

from service.by_inngest.custody import Custody, Hands
from service.lanes import LIVE
from service.messages.answering import Answering
from service.messages.inbox import Entry, Inbox, RetryPolicy
from service.storage.store import StoreError
from service.telemetry.logs import Log

SOON_MS = 1000
"""When to be called again where only somebody else's work is waited for."""

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")


class Later(Exception):
    """Call again in `pause_ms`. The message says why, without content."""

    def __init__(self, reason: str, pause_ms: int) -> None:
        super().__init__(reason)
        self.pause_ms = pause_ms


class NoMessage(Exception):
    """What was asked for is no message; calling again is of no use."""


class RunMetrics:
    """What a web process counts of Inngest's calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "inngest_runs_total",
            "Calls of Inngest by how they ended: done, gone, held, postponed, failed, malformed",
            ["outcome"],
            registry=registry,
        )


@dataclass(frozen=True)
class Runs:
    """Runs messages."""

    inbox: Inbox
    hands: Hands
    answering: Answering
    retry: RetryPolicy
    lease_s: float
    metrics: RunMetrics
    log: Log

    async def run(self, entry_id: object) -> None:
        """Return when the message *entry_id* is finished, by this run or before.

        Raises:
            Later: it is not, and will be tried again.
            NoMessage: *entry_id* is none.
        """
        if not isinstance(entry_id, str) or not _ENTRY_ID.fullmatch(entry_id):
            self._count("malformed")
            raise NoMessage("the event names no message")
        try:
            await self._receive_and_answer(entry_id)
        except StoreError as error:
            self._count("failed")
            self.log.warning("Redis is away, Inngest calls again", exc_info=error)
            raise Later("Redis is away", SOON_MS) from None

    async def _receive_and_answer(self, entry_id: str) -> None:
        received = await self.hands.receive(entry_id)
        if received.state is Custody.GONE:
            self._count("gone")
        elif received.entry is None:
            self._count("held")
            raise Later("another works on it", received.held_ms)
        else:
            async with self._renewed(received.entry):
                await self.answering.handle(received.entry)
            await self._end(entry_id)

    async def _end(self, entry_id: str) -> None:
        """Done if it is no longer in our hand; else back into Inngest's, and to be called again."""
        next_attempt = await self.hands.give(entry_id, attempts=1)
        if next_attempt is None:
            self._count("done")
            return
        self._count("postponed")
        raise Later("not answered yet", max(SOON_MS, self.retry.pause_ms(next_attempt - 1, entry_id)))

    @asynccontextmanager
    async def _renewed(self, entry: Entry) -> AsyncIterator[None]:
        """Show meanwhile that somebody works on *entry*."""
        renewing = asyncio.create_task(self._renew_forever(entry))
        try:
            yield
        finally:
            renewing.cancel()

    async def _renew_forever(self, entry: Entry) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 3)
            try:
                await self.inbox.renew(LIVE, [entry.id])
            except StoreError as error:
                self.log.warning("Leases could not be renewed", exc_info=error)

    def _count(self, outcome: str) -> None:
        self.metrics.runs.labels(outcome).inc()
