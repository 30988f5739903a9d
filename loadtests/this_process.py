"""The generator in one process: the ordinary case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loadtests.generator_use import ProcessUse
from loadtests.order import Order, Stream
from loadtests.senders import Send
from loadtests.sending import Sending, Settle


class ThisProcess:
    """Sends everything itself, at once.

    Args:
        senders: makes those of an order.
        on_settled: hears of each outcome, with its order, for Locust's own statistics.
    """

    lead_s = 0.0

    def __init__(
        self, senders: Callable[[Order], Mapping[Stream, Send]], on_settled: Callable[[Order], Settle]
    ) -> None:
        self._senders, self._on_settled = senders, on_settled
        self._sending: Sending | None = None

    def carry_out(self, order: Order, settle: Settle) -> str | None:
        """Send all of *order*; nothing is ever missing."""
        self._sending = Sending(order, self._senders(order), settle, self._on_settled(order))
        self._sending.run()
        return None

    def stop(self) -> None:
        """End what is under way."""
        if self._sending is not None:
            self._sending.stop()

    def use(self) -> Sequence[ProcessUse]:
        """What this process used for the last order."""
        return [] if self._sending is None else [self._sending.use()]
