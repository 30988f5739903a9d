"""The open model: each arrival is sent at its intended time, whatever became of those before."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from heapq import merge

import gevent
from gevent.event import Event
from gevent.pool import Group

from loadtests.book import Outcome
from loadtests.clocks import wall_ahead_s
from loadtests.generator_use import ProcessUse
from loadtests.order import Order, Stream
from loadtests.senders import Send
from loadtests.webhooks import NotSentError, WebhookError

_POLL_INTERVAL_S = 0.02
_SPARE_S = 1.0

Settle = Callable[[Stream, int, Outcome], None]
"""Called with each outcome, as soon as it is known."""


class Sending:
    """Sends this process's part of *order*: each arrival in a greenlet of its own, started when it is due."""

    def __init__(self, order: Order, senders: Mapping[Stream, Send], *settle: Settle) -> None:
        self._order, self._senders, self._settle = order, senders, settle
        self._plans = order.plans()
        self._in_flight = Group()
        self._stop = Event()
        self._start_s = order.start_s - wall_ahead_s()
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()
        self._use: ProcessUse | None = None

    def run(self) -> None:
        """Send all, and return once each is settled, or after `stop`."""
        gevent.sleep(max(-self._now(), 0))
        self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()
        for due_s, stream, index in self._arrivals():
            # Waiting even when late lets those already due have their turn.
            if self._stop.wait(max(due_s - self._now(), 0)):
                break
            self._in_flight.spawn(self._send, stream, index, due_s)
        self._await_answers()
        self._use = self.use()

    def stop(self) -> None:
        """Send no more, and wait for nothing that is under way."""
        self._stop.set()

    def use(self) -> ProcessUse:
        """What this process used of its processor while it was sending, so far."""
        return self._use or measured_use(self._began_s, self._began_cpu_s)

    def _arrivals(self) -> Iterator[tuple[float, Stream, int]]:
        """This process's part of all streams, in the order in which they are due."""

        def part_of(stream: Stream) -> Iterator[tuple[float, Stream, int]]:
            due_s = self._plans[stream].due_s
            own = range(self._order.part, len(due_s), self._order.parts)
            return ((due_s[index], stream, index) for index in own)

        return merge(*map(part_of, self._plans))

    def _send(self, stream: Stream, index: int, due_s: float) -> None:
        outcome = self._outcome(stream, index, due_s)
        for settle in self._settle:
            settle(stream, index, outcome)

    def _outcome(self, stream: Stream, index: int, due_s: float) -> Outcome:
        late_s = max(self._now() - due_s, 0)
        reason = None
        try:
            within_s = self._order.answer_timeout_s(stream) - late_s
            if within_s <= 0:
                raise NotSentError("generator: not sent before its answer was overdue")
            self._senders[stream](index, within_s)
        except NotSentError as error:
            return Outcome.unsent(str(error))
        except WebhookError as error:
            reason = str(error)
        return Outcome(late_s, self._now() - due_s, reason)

    def _await_answers(self) -> None:
        """Until all are settled, which each is in time; not at all after `stop`."""
        overdue_s = self._now() + max(map(self._order.answer_timeout_s, self._plans)) + _SPARE_S
        while self._in_flight and self._now() < overdue_s:
            if self._stop.wait(_POLL_INTERVAL_S):
                break
        self._in_flight.kill()

    def _now(self) -> float:
        return time.monotonic() - self._start_s


def measured_use(began_s: float, began_cpu_s: float) -> ProcessUse:
    """What this process used since then, by its monotonic and its processor clock."""
    return ProcessUse(
        host=socket.gethostname(),
        cores=_cores(),
        cpu_s=time.process_time() - began_cpu_s,
        wall_s=time.monotonic() - began_s,
    )


def _cores() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
