"""How long the calls to other services take, and how they end: one histogram for all of them."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from prometheus_client import CollectorRegistry, Histogram

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60)


class Peer(StrEnum):
    """Who is called: the label `service`."""

    WAHA = "waha"
    AI = "ai"
    RESEND = "resend"


class Operation(StrEnum):
    """What is asked for: WAHA's own names, and one name for each of the others."""

    SEND_TEXT = "sendText"
    SEND_SEEN = "sendSeen"
    START_TYPING = "startTyping"
    STOP_TYPING = "stopTyping"
    COMPLETE = "complete"
    SEND_MAIL = "sendMail"


class CallOutcome(StrEnum):
    """How a call ended."""

    OK = "ok"
    REFUSED = "refused"
    """Answered, but not as wished."""
    UNREACHABLE = "unreachable"
    """No byte was sent."""
    UNANSWERED = "unanswered"
    """Too late, broken off, or not to be understood."""


class OutboundMetrics:
    """What a process counts of its calls to others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "outbound_duration_seconds",
            "Time of a call of another service, failed ones included",
            ["service", "operation", "outcome"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._of = cache(self.seconds.labels)  # `labels` locks and checks: once for each is enough

    def observe(self, peer: Peer, operation: Operation, outcome: CallOutcome, duration_s: float) -> None:
        """One more call."""
        self._of(peer.value, operation.value, outcome.value).observe(duration_s)
