"""One run of one scenario: have every webhook sent at its intended time, then wait for the replies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import gevent

from loadtests.book import Book, Outcome
from loadtests.clocks import wall_ahead_s
from loadtests.evidence import Ending, Evidence, Live
from loadtests.generator_use import ProcessUse
from loadtests.judge import cannot_pass
from loadtests.messages import new_run
from loadtests.options import Options
from loadtests.order import Order, Stream, plans_of
from loadtests.reply_pages import Reply
from loadtests.reply_reader import Replies, ReplyReader
from loadtests.scenarios import Scenario
from loadtests.sending import Settle

READ_EACH_S = 1.0
READ_EACH_AT_END_S = 0.25
_WEBHOOKS = (Stream.CANDIDATE, Stream.BASELINE)


class Generator(Protocol):
    """What sends: this process, or workers."""

    @property
    def lead_s(self) -> float:
        """How long it takes from an order to the first webhook."""

    def carry_out(self, order: Order, settle: Settle) -> str | None:
        """Send all of *order* and settle each arrival; returns why parts of it are missing, if some are."""

    def stop(self) -> None:
        """Let `carry_out` return soon, whatever is under way."""

    def use(self) -> Sequence[ProcessUse]:
        """What its processes used of their processors while sending."""


class Campaign:
    """Has *scenario* carried out in the open model, and keeps the book of each stream."""

    def __init__(
        self, options: Options, scenario: Scenario, generator: Generator, replies: Mapping[Stream, Replies]
    ) -> None:
        self.scenario, self._load = scenario, scenario.load
        self._options, self._generator = options, generator
        self._baseline = options.baseline if scenario.compared else None
        plans = plans_of(scenario, compared=self._baseline is not None)
        slow_s, late_s = self._load.webhook_p95_ms / 1000, self._load.late_ms / 1000
        self.books = {stream: Book(plan, slow_s=slow_s, late_s=late_s) for stream, plan in plans.items()}
        read = [stream for stream in _WEBHOOKS if stream in plans] if options.read_replies else []
        self._readers = {stream: ReplyReader(replies[stream], partial(self._take, stream)) for stream in read}
        self._order = Order(
            scenario=scenario,
            host=options.host,
            baseline=self._baseline,
            runs={stream: new_run() for stream in _WEBHOOKS if stream in plans},
            health_answer_s=options.health_answer_s,
        )
        self._messages = self._order.messages()
        self._ending = Ending.INTERRUPTED
        self._hopeless = False
        self._use: Sequence[ProcessUse] | None = None
        self._start_s = 0.0
        self.start_epoch_s: float | None = None

    def run(self) -> None:
        """Carry the run to its end; until then the evidence counts as interrupted."""
        self._start_s = time.monotonic() + self._generator.lead_s
        self.start_epoch_s = self._start_s + wall_ahead_s()
        reading = gevent.spawn(self._read_replies)
        missing = self._generator.carry_out(
            self._order.model_copy(update={"start_s": self.start_epoch_s}), self._settle
        )
        self._use = self._generator.use()
        reading.kill()
        if self._hopeless:
            self._ending = Ending.HOPELESS
            return
        for book in self.books.values():
            book.close(missing or "generator: no outcome")
        self._await_replies()
        self._ending = Ending.WORKERS_LOST if missing else Ending.COMPLETE

    def evidence(self) -> Evidence:
        """What there is to judge now."""
        return Evidence(
            book=self.books[Stream.CANDIDATE],
            ending=self._ending,
            replies_asked=self._options.read_replies,
            replies_problem=self._problem(Stream.CANDIDATE),
            generator=self._used(),
            probes=self.books.get(Stream.HEALTH),
            live=self._live(),
        )

    def _live(self) -> Live | None:
        book = self.books.get(Stream.BASELINE)
        if book is None:
            return None
        is_secret_known = self._options.baseline_secret is not None
        return Live(book, self._problem(Stream.BASELINE), is_secret_known)

    def _settle(self, stream: Stream, index: int, outcome: Outcome) -> None:
        book = self.books[stream]
        book.settle(index, outcome)
        if stream is Stream.CANDIDATE and not self._hopeless and cannot_pass(book, self._load):
            self._hopeless = True
            self._generator.stop()

    def _used(self) -> Sequence[ProcessUse]:
        if self.start_epoch_s is None:
            return ()
        return self._generator.use() if self._use is None else self._use

    def _problem(self, stream: Stream) -> str | None:
        return self._readers[stream].problem if stream in self._readers else None

    def _read_replies(self) -> None:
        while not all(reader.given_up for reader in self._readers.values()):
            gevent.sleep(READ_EACH_S)
            self._read()

    def _read(self) -> None:
        for reader in self._readers.values():
            if not reader.given_up:
                reader.read()

    def _await_replies(self) -> None:
        """Until every accepted message has its reply and a second one had time to come, or the time is up."""
        overdue_s = self._now() + self._load.reply_within_s
        while self._readers:
            last = self._now() >= overdue_s
            self._read()
            if last or all(reader.given_up for reader in self._readers.values()):
                return
            if not any(map(self._is_open, self._readers)):
                break
            gevent.sleep(READ_EACH_AT_END_S)
        if self._readers:
            gevent.sleep(self._options.settle_s)
            self._read()

    def _is_open(self, stream: Stream) -> bool:
        """Whether replies of *stream* are still to come."""
        reader = self._readers[stream]
        return not reader.given_up and (reader.problem is not None or self.books[stream].unreplied > 0)

    def _take(self, stream: Stream, reply: Reply) -> None:
        """Enter a reply, if it is one to this run's messages."""
        index = None if reply.replyTo is None else self._messages[stream].index_of(reply.replyTo)
        book = self.books[stream]
        if index is not None and index < book.plan.total:
            at_s = reply.time / 1000 - (self.start_epoch_s or 0)
            book.replied(index, at_s=at_s, seen_s=self._now())

    def _now(self) -> float:
        return time.monotonic() - self._start_s
