"""How the first attempt at each live message by this process ended: it tells a bad release from a bad world.

Only the first counts: while WAHA is away the same few messages are tried again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

from service.telemetry.metrics import WorkerMetrics

MAX_TRIED = 100_000
"""As many messages as may wait by default; of more, the oldest would count again."""


class SendOutcome(StrEnum):
    """The label `outcome`."""

    SENT = "sent"
    REFUSED = "refused"
    """WAHA says that the request or its key is wrong: our fault."""
    UNAVAILABLE = "unavailable"
    """WAHA says that it cannot now: a session that does not work, a limit."""
    UNANSWERED = "unanswered"
    """WAHA could not be reached, failed or did not say; or the database did not, before anything was sent."""
    FAILED = "failed"
    """An error of ours, whether before the sending or after."""


class FirstSends:
    """Counts them by the ids of the live lane's entries."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._counter = metrics.first_sends
        for outcome in SendOutcome:  # from the start, so that none is not mistaken for no figure
            self._counter.labels(outcome.value)
        self._tried: OrderedDict[str, None] = OrderedDict()

    def count(self, entry_id: str, outcome: SendOutcome) -> None:
        """One attempt ended so; it counts if it was the entry's first."""
        if entry_id in self._tried:
            return
        self._counter.labels(outcome.value).inc()
        if outcome is not SendOutcome.SENT:  # else there is no second one
            self._tried[entry_id] = None
            if len(self._tried) > MAX_TRIED:
                self._tried.popitem(last=False)
