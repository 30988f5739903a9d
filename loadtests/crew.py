"""The generator as many processes: the master's side. Locust's own master and workers carry the words.

What is said, each a Locust message with a dictionary:

    load order    master → worker   `order`: an `Order` as JSON; `number`: of the order
    load stop     master → worker   `number`
    load settled  worker → master   `number`, `stream`, `rows`: index, late_s, after_s, reason of each outcome
    load done     worker → master   `number`, `use`: the fields of its `ProcessUse`
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gevent

from loadtests.book import Outcome
from loadtests.generator_use import ProcessUse
from loadtests.order import Order, Stream
from loadtests.sending import Settle, measured_use

if TYPE_CHECKING:
    from locust.runners import MasterRunner

ORDER, STOP, SETTLED, DONE = "load order", "load stop", "load settled", "load done"
_POLL_INTERVAL_S = 0.05
_MISSING = "missing"
"""`locust.runners.STATE_MISSING`, not imported: it would patch whatever process this is read in."""
_SPARE_S = 5.0


class Crew:
    """Has the workers of *runner* send: each the arrivals whose index is its number modulo theirs.

    Args:
        runner: Locust's master.
        expected: how many workers there should be; one that is missing has its part all the same, unsent.
    """

    lead_s = 1.0
    """So that the order has come to every worker before the first webhook is due."""

    def __init__(self, runner: MasterRunner, expected: int) -> None:
        self._runner = runner
        self._workers = [worker.id for worker in runner.clients.ready]
        self._parts = max(expected, len(self._workers))
        self._number = 0
        self._settle: Settle | None = None
        self._used: dict[str, ProcessUse] = {}
        self._own: ProcessUse | None = None
        runner.register_message(SETTLED, self._take_settled)
        runner.register_message(DONE, self._take_done)

    @property
    def count(self) -> int:
        """How many workers came."""
        return len(self._workers)

    def carry_out(self, order: Order, settle: Settle) -> str | None:
        """Send all of *order*; returns why parts of it are missing where workers are."""
        self._number += 1
        self._settle, self._used, self._own = settle, {}, None
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        for part, worker in enumerate(self._workers):
            own = order.model_copy(update={"part": part, "parts": self._parts})
            self._tell(worker, ORDER, {"order": own.model_dump_json()})
        self._await(order)
        self._settle = None
        self._own = measured_use(began_s, began_cpu_s)
        missing = self._parts - len(self._used)
        return f"generator: {missing} of {self._parts} workers were lost" if missing else None

    def stop(self) -> None:
        """Tell all workers to end what is under way."""
        for worker in self._workers:
            self._tell(worker, STOP, {})

    def use(self) -> Sequence[ProcessUse]:
        """What workers and master used for the last order."""
        return [*self._used.values(), *([self._own] if self._own else [])]

    def _await(self, order: Order) -> None:
        """Until every worker is done, gone or overdue."""
        longest_s = max(map(order.answer_timeout_s, Stream))
        last_due_s = max(plan.due_s[-1] for plan in order.plans().values())
        overdue_s = order.start_s + last_due_s + longest_s + _SPARE_S
        while time.time() < overdue_s:
            if all(worker in self._used or self._is_gone(worker) for worker in self._workers):
                return
            gevent.sleep(_POLL_INTERVAL_S)

    def _is_gone(self, worker: str) -> bool:
        node = self._runner.clients.get(worker)
        return node is None or node.state == _MISSING

    def _tell(self, worker: str, what: str, words: dict[str, Any]) -> None:
        if not self._is_gone(worker):
            self._runner.send_message(what, {"number": self._number, **words}, client_id=worker)

    def _take_settled(self, msg: Any, **_: Any) -> None:
        # What comes after its order has ended is too late: it was counted as unsent already.
        if self._settle is None or msg.data["number"] != self._number:
            return
        stream = Stream(msg.data["stream"])
        for index, late_s, after_s, reason in msg.data["rows"]:
            self._settle(stream, index, Outcome(late_s, after_s, reason))

    def _take_done(self, msg: Any, **_: Any) -> None:
        if msg.data["number"] == self._number:
            self._used[msg.node_id] = ProcessUse(*msg.data["use"])


def await_workers(runner: MasterRunner, expected: int, within_s: float) -> bool:
    """Whether as many workers as *expected* are ready within *within_s*."""
    overdue_s = time.monotonic() + within_s
    while len(runner.clients.ready) < expected:
        if time.monotonic() > overdue_s:
            return False
        gevent.sleep(_POLL_INTERVAL_S)
    return True
