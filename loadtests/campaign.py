"""One run: send every webhook at its intended time, wait for the answers, then for the replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import gevent
from gevent.event import Event
from gevent.pool import Group

from contracts.webhook import encode
from loadtests.book import Book
from loadtests.judge import Ending, Evidence, cannot_pass
from loadtests.messages import Messages
from loadtests.options import Options
from loadtests.reply_pages import Reply
from loadtests.reply_reader import Replies, ReplyReader
from loadtests.webhooks import NoAnswerError, NotSentError

READ_EACH_S = 1.0
READ_EACH_AT_END_S = 0.25
_LOOK_EACH_S = 0.02
_SPARE_S = 1.0

Settled = Callable[[float, str | None], None]
"""Called with each outcome: ms from the intended time, and the reason if it was not accepted."""


class Sender(Protocol):
    """The wire: see `Webhooks`."""

    def post(self, body: bytes, *, within_s: float) -> int:
        """Post *body*, and return the answer's status."""


class Campaign:
    """Sends the plan of *options* in the open model and keeps the book.

    Open: each webhook has its own greenlet, started at the intended time whatever became of those before.
    """

    def __init__(self, options: Options, sender: Sender, replies: Replies, on_settled: Settled) -> None:
        load = options.load
        self._options, self._load, self._plan = options, load, options.plan
        self._on_settled = on_settled
        self._messages = Messages()
        self._book = Book(self._plan, slow_s=load.webhook_p95_ms / 1000, late_s=load.late_ms / 1000)
        self._sender = sender
        self._reader = ReplyReader(replies, self._take)
        self._in_flight = Group()
        self._stop = Event()
        self._ending = Ending.INTERRUPTED
        self._start_s = self._start_epoch_s = self._start_cpu_s = 0.0
        self._cpu_share: float | None = None

    def run(self) -> None:
        """Carry the run to its end; until then the evidence counts as interrupted."""
        self._start_s, self._start_epoch_s = time.monotonic(), time.time()
        self._start_cpu_s = time.process_time()
        reading = gevent.spawn(self._read_replies)
        self._send_all()
        self._await_answers()
        self._cpu_share = self._cpu_share_so_far()
        reading.kill()
        if self._stop.is_set():
            self._ending = Ending.HOPELESS
            return
        if self._options.read_replies:
            self._await_replies()
        self._ending = Ending.COMPLETE

    def evidence(self) -> Evidence:
        """What there is to judge now."""
        return Evidence(
            book=self._book,
            ending=self._ending,
            replies_asked=self._options.read_replies,
            replies_problem=self._reader.problem,
            cpu_share=self._cpu_share_so_far() if self._cpu_share is None else self._cpu_share,
        )

    def _send_all(self) -> None:
        for index, due_s in enumerate(self._plan.due_s):
            # Waiting even when late lets those already due have their turn.
            if self._stop.wait(max(due_s - self._now(), 0)):
                return
            self._in_flight.spawn(self._send, index, due_s)

    def _send(self, index: int, due_s: float) -> None:
        reason = self._outcome(index, due_s, late_s=max(self._now() - due_s, 0))
        self._on_settled((self._now() - due_s) * 1000, reason)
        if cannot_pass(self._book, self._load):
            self._stop.set()

    def _outcome(self, index: int, due_s: float, *, late_s: float) -> str | None:
        """Send one webhook, enter what became of it, and return why it was not accepted."""
        try:
            within_s = self._load.answer_timeout_s - late_s
            if within_s <= 0:
                raise NotSentError("generator: not sent before its answer was overdue")
            status = self._sender.post(encode(self._messages.event(index)), within_s=within_s)
            if not 200 <= status < 300:
                raise NoAnswerError(f"status {status}")
        except NotSentError as error:
            self._book.unsent(index, str(error))
            return str(error)
        except NoAnswerError as error:
            self._book.failed(index, str(error), late_s=late_s)
            return str(error)
        self._book.accepted(index, late_s=late_s, answer_s=self._now() - due_s)
        return None

    def _await_answers(self) -> None:
        """Until all are settled, which each is in time. Once the run cannot pass, nothing is waited for."""
        overdue_s = self._now() + self._load.answer_timeout_s + _SPARE_S
        while self._in_flight and self._now() < overdue_s:
            if self._stop.wait(_LOOK_EACH_S):
                self._in_flight.kill()
                return
        self._in_flight.kill()
        self._book.close()

    def _read_replies(self) -> None:
        while self._options.read_replies and not self._reader.given_up:
            gevent.sleep(READ_EACH_S)
            self._reader.read()

    def _await_replies(self) -> None:
        """Until every accepted webhook has its reply and a second one had time to come, or the time is up."""
        overdue_s = self._now() + self._load.reply_within_s
        while True:
            last = self._now() >= overdue_s
            self._reader.read()
            if last or self._reader.given_up:
                return
            if self._reader.problem is None and not self._book.unreplied:
                break
            gevent.sleep(READ_EACH_AT_END_S)
        gevent.sleep(self._options.settle_s)
        self._reader.read()

    def _take(self, reply: Reply) -> None:
        index = None if reply.replyTo is None else self._messages.index_of(reply.replyTo)
        if index is not None and index < self._plan.total:
            at_s = reply.time / 1000 - self._start_epoch_s
            self._book.replied(index, at_s=at_s, seen_s=self._now())

    def _cpu_share_so_far(self) -> float:
        return (time.process_time() - self._start_cpu_s) / self._now()

    def _now(self) -> float:
        return time.monotonic() - self._start_s
