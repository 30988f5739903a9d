"""What is told of the message path: one line and one count for each end of an attempt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from service.event import Message
from service.lanes import LaneName
from service.messages.inbox import Entry
from service.messages.notices import TenantNames
from service.telemetry.logs import Log, Tell
from service.telemetry.metrics import WorkerMetrics


class Outcome(StrEnum):
    """How an attempt at a message ended."""

    SENT = "sent"
    RECONCILED = "reconciled"
    """Nobody knew, until WAHA told that the reply was sent."""
    RETRY = "retry"
    UNKNOWN = "unknown"
    DEAD = "dead"
    NO_CREDIT = "no_credit"
    STORED = "stored"
    """Too old to be answered."""
    FAILED = "failed"
    """An error of ours; it is tried again."""


_GOOD = {
    Outcome.SENT: "Message processed",
    Outcome.RECONCILED: "Message reconciled",
    Outcome.STORED: "Message stored",
}
"""The outcomes that went as they should, and what the log says of them."""


@dataclass(frozen=True)
class Ending:
    """How a message ended; `reason` where that is no good one."""

    outcome: Outcome
    attempt: int
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """Counts outcomes, and logs them in the runbook's words."""

    metrics: WorkerMetrics
    names: TenantNames
    tell: Tell
    log: Log

    def ended(self, entry: Entry, message: Message | None, ending: Ending) -> None:
        """The message has ended."""
        self._count(entry, ending.outcome)
        fields = _fields(entry, ending.outcome, ending.attempt)
        if ending.outcome in _GOOD:
            self.tell({"msg": _GOOD[ending.outcome], "event": "processed", **fields})
        elif ending.outcome is Outcome.NO_CREDIT and message:
            tenant = self.names.of(message.tenant)
            self.log.warning("Billing guard: no credit", _event="failed", tenant=tenant, **fields)
        else:
            self.log.error("Message failed", _event="failed", reason=ending.reason, **fields)

    def postponed(self, entry: Entry, reason: str, attempt: int) -> None:
        """The message is tried again later."""
        self._count(entry, Outcome.RETRY)
        fields = _fields(entry, Outcome.RETRY, attempt)
        self.log.error("Message failed", _event="failed", reason=reason, **fields)

    def failed(self, entry: Entry, error: Exception) -> None:
        """An error of ours, or Redis's, left the message pending."""
        self._count(entry, Outcome.FAILED)
        self.log.error("Message failed", _event="failed", exc_info=error, **_fields(entry, Outcome.FAILED))

    def reconciled(self, lane: LaneName, request_id: str) -> None:
        """A message that had been recorded as unknown was answered after all."""
        self.metrics.reconciled.labels(lane.value).inc()
        fields = {"webhook": True, "requestId": request_id, "lane": lane.value, "outcome": "reconciled"}
        self.tell({"msg": _GOOD[Outcome.RECONCILED], "event": "processed", **fields})

    def _count(self, entry: Entry, outcome: Outcome) -> None:
        lane, metrics = entry.lane.name.value, self.metrics
        metrics.messages.labels(outcome.value, lane).inc()
        if outcome is Outcome.SENT:
            metrics.reply_seconds.labels(lane).observe(_waited_ms(entry) / 1000)
        also = {
            Outcome.RECONCILED: metrics.reconciled,
            Outcome.NO_CREDIT: metrics.refusals,
            Outcome.STORED: metrics.stored,
        }
        if outcome in also:
            also[outcome].labels(lane).inc()


def about(entry: Entry) -> dict[str, object]:
    """What every line about an entry has."""
    return {
        "webhook": True,
        "requestId": entry.request_id,
        "chat": entry.chat,
        "lane": entry.lane.name.value,
    }


def _fields(entry: Entry, outcome: Outcome, attempt: int | None = None) -> dict[str, object]:
    return {
        **about(entry),
        "outcome": outcome.value,
        "waitedMs": _waited_ms(entry),
        **({} if attempt is None else {"attempt": attempt}),
    }


def _waited_ms(entry: Entry) -> int:
    return time.time_ns() // 1_000_000 - entry.received_ms
