"""The billing guard: a credit is held before a reply is written, and charged or given back once, after."""

from __future__ import annotations

import time
from dataclasses import dataclass

from service.accounts.database import Database, DatabaseFailed, MessageOutcome, MessageRecord, Reservation
from service.event import Message
from service.lanes import LaneName
from service.messages.surely import surely
from service.messages.unsettled import Unsettled
from service.telemetry.alarms import Alarm, Alarms
from service.telemetry.metrics import WorkerMetrics


@dataclass(frozen=True)
class Billing:
    """One lane's accounts."""

    lane: LaneName
    database: Database
    unsettled: Unsettled
    metrics: WorkerMetrics
    alarms: Alarms

    async def admits(self, message: Message) -> bool:
        """Whether the tenant has a credit left for *message*, which then is held for it.

        Raises:
            DatabaseFailed: nobody knows; asking again is safe.
        """
        try:
            reservation = await self.database.reserve(message.tenant, message.identity)
        except DatabaseFailed:
            self._alarm("reserve")
            raise
        return reservation is Reservation.RESERVED

    async def settle(self, record: MessageRecord) -> None:
        """Charge or give back what was held, and log the message: now, or later if the database is away."""
        try:
            await self.insist(record)
        except DatabaseFailed:
            self._alarm("settle")
            await surely(lambda: self.unsettled.add(record))

    async def insist(self, record: MessageRecord) -> None:
        """Settle *record* now.

        Raises:
            DatabaseFailed: nobody knows whether it was done; doing it again is safe.
        """
        await self.database.settle(record)
        if record.outcome is MessageOutcome.ANSWERED:
            self.metrics.credits_used.labels(self.lane.value).inc()

    def _alarm(self, operation: str) -> None:
        self.alarms.raise_alarm(Alarm.CREDIT_FAILURE, operation=operation, lane=self.lane.value)


def record_of(message: Message, outcome: MessageOutcome, *, reply: str, received_ms: int) -> MessageRecord:
    """The record of *message*, which has just ended. *reply*: what was sent or tried, perhaps nothing."""
    return MessageRecord(
        identity=message.identity,
        tenant=message.tenant,
        session=message.session,
        chat_id=message.chat_id,
        payload_id=message.payload_id,
        text=message.text,
        reply=reply,
        outcome=outcome,
        received_ms=received_ms,
        ended_ms=time.time_ns() // 1_000_000,
    )
