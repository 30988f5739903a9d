"""The generator as many processes: a worker's side, which sends its part and tells what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gevent

from loadtests.book import Outcome
from loadtests.crew import DONE, ORDER, SETTLED, STOP
from loadtests.order import Order, Stream
from loadtests.senders import Send
from loadtests.sending import Sending, Settle

if TYPE_CHECKING:
    from locust.runners import WorkerRunner

_TELL_EACH_S = 0.5


class Worker:
    """Carries out the master's orders.

    Args:
        runner: Locust's worker.
        senders: makes those of an order.
        on_settled: hears of each outcome, with its order, for Locust's own statistics.
    """

    def __init__(
        self,
        runner: WorkerRunner,
        senders: Callable[[Order], Mapping[Stream, Send]],
        on_settled: Callable[[Order], Settle],
    ) -> None:
        self._runner, self._senders, self._on_settled = runner, senders, on_settled
        self._sending: Sending | None = None
        runner.register_message(ORDER, self._take_order, concurrent=True)
        runner.register_message(STOP, self._take_stop)

    def _take_order(self, msg: Any, **_: Any) -> None:
        order = Order.model_validate_json(msg.data["order"])
        untold = _Untold(self._runner, msg.data["number"])
        self._sending = Sending(order, self._senders(order), untold.settle, self._on_settled(order))
        telling = gevent.spawn(untold.tell_again_and_again)
        self._sending.run()
        telling.kill()
        untold.tell()
        self._runner.send_message(DONE, {"number": msg.data["number"], "use": list(self._sending.use())})

    def _take_stop(self, **_: Any) -> None:
        if self._sending is not None:
            self._sending.stop()


class _Untold:
    """The outcomes that the master has not heard of yet."""

    def __init__(self, runner: WorkerRunner, number: int) -> None:
        self._runner, self._number = runner, number
        self._rows: dict[Stream, list[tuple[object, ...]]] = {}

    def settle(self, stream: Stream, index: int, outcome: Outcome) -> None:
        self._rows.setdefault(stream, []).append((index, *outcome))

    def tell_again_and_again(self) -> None:
        """So that a run that cannot pass is given up early, and a worker's death loses little."""
        while True:
            gevent.sleep(_TELL_EACH_S)
            self.tell()

    def tell(self) -> None:
        rows, self._rows = self._rows, {}
        for stream, settled in rows.items():
            self._runner.send_message(
                SETTLED, {"number": self._number, "stream": stream.value, "rows": settled}
            )
