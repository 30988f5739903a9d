"""The message path: each state of a message leads to one outcome, whoever is away in between."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from answering_kit import MAX_AGE_S, MAX_ATTEMPTS, FakeDatabase, Rig, entry
from service_kit import event

from service.accounts.database import MessageOutcome, Reservation
from service.lanes import LIVE, Lane, gate_lane
from service.messages.drafts import Drafts
from service.messages.first_sends import SendOutcome
from service.messages.inbox import TakeState
from service.messages.messenger import NotSent, OutcomeUnknown, SendDeferred, SendRefused
from service.messages.writer import FALLBACK
from service.storage.store import StoreAway
from service.telemetry.alarms import Alarm

WRITTEN = ["reserve", "begin", "write", "end", "mark", ("expect", "hello"), ("send", "hello")]
SENT = [("settle", "answered"), ("finish", None, "expected", "said")]
UNKNOWN = [("settle", "unknown"), ("finish", "unknown")]
DEAD = [("settle", "failed"), ("finish", "dead")]


async def test_message_goes_its_way() -> None:
    """Reserve, write while it shows, mark, expect, send; the database is told before the message ends."""
    rig = Rig()
    assert await rig.handle() == WRITTEN + SENT
    assert rig.lines == [("Message processed", "processed")]
    assert rig.counted("messages_total", outcome="sent") == rig.counted("credits_used_total") == 1
    (record,) = rig.database.settled
    assert (record.text, record.reply, record.tenant) == ("hello", "hello", "default")


@pytest.mark.parametrize("state", [TakeState.WAIT, TakeState.GONE])
async def test_message_that_is_not_ours_is_left_alone(state: TakeState) -> None:
    """Not its turn, or in another's hand: nothing is done, nothing told."""
    rig = Rig(state=state)
    assert (await rig.handle(), rig.lines) == ([], [])


async def test_message_marked_by_another_is_not_sent() -> None:
    """Whoever does not get the mark does not send."""
    rig = Rig()
    rig.inbox.marked = False
    assert await rig.handle() == WRITTEN[: WRITTEN.index("mark") + 1]


async def test_message_left_while_sending_is_unknown() -> None:
    """Somebody died while sending: it is recorded, its credit stays held, and nothing is sent."""
    rig = Rig(state=TakeState.UNKNOWN)
    assert await rig.handle() == UNKNOWN
    assert rig.lines == [("Message failed", "failed")]


async def test_message_that_kills_its_workers_is_a_dead_letter() -> None:
    """After the last attempt nobody tries again."""
    rig = Rig(attempt=MAX_ATTEMPTS + 1)
    assert await rig.handle() == DEAD


@pytest.mark.parametrize(
    ("failure", "attempt", "after"),
    [
        (OutcomeUnknown("x"), 1, UNKNOWN),
        (NotSent("x"), 1, ["unmark"]),
        (NotSent("x"), MAX_ATTEMPTS, DEAD),
    ],
)
async def test_failure_decides(failure: Exception, attempt: int, after: list[Any]) -> None:
    """Unknown is recorded, not sent is tried again, and given up at last."""
    rig = Rig(attempt=attempt)
    rig.messenger.failure = failure
    assert await rig.handle() == WRITTEN + after
    assert rig.lines == [("Message failed", "failed")]


@pytest.mark.parametrize(
    ("failure", "after"), [(None, SENT), (NotSent("x"), ["unmark"]), (OutcomeUnknown("x"), UNKNOWN)]
)
async def test_outcome_survives_redis_being_away(failure: Exception | None, after: list[Any]) -> None:
    """What is known about a reply is written down as soon as Redis is back; it is not sent a second time."""
    rig = Rig(away=2)
    rig.messenger.failure = failure
    assert await rig.handle() == WRITTEN + after


async def test_second_attempt_sends_what_the_first_wrote() -> None:
    """The model is asked, and paid, once while WAHA refuses the reply; a fallback is not kept."""
    rig = Rig()
    answering = rig.answering()
    rig.messenger.failure = NotSent("x")
    await answering.handle(entry())
    rig.inbox.attempt, rig.messenger.failure = 2, None
    await answering.handle(entry())
    assert (rig.journal.count("write"), rig.journal.count("begin")) == (1, 2)
    assert rig.journal.count(("send", "hello")) == 2
    rig.messenger.failure = NotSent("x")
    for _ in range(2):
        await answering.handle(entry(event(FALLBACK)))
    assert rig.journal.count("write") == 3


@pytest.mark.parametrize(("stopped", "asked"), [([True], []), ([False, True], ["reserve"])])
async def test_nothing_is_written_for_a_stopped_session(stopped: list[bool], asked: list[str]) -> None:
    """No credit is held and no model asked; if it stops while the credit is asked for, the message waits."""
    rig = Rig()
    rig.messenger.stopped = stopped
    assert await rig.handle() == asked
    assert rig.counted("messages_total", outcome="retry") == 1
    assert rig.metrics.registry.get_sample_value("first_sends_total", {"outcome": "unavailable"}) == 1
    await rig.handle()
    assert rig.journal == asked + WRITTEN + SENT


async def test_message_of_a_stopped_session_is_a_dead_letter_at_last() -> None:
    """As one that WAHA itself refused."""
    rig = Rig(attempt=MAX_ATTEMPTS)
    rig.messenger.stopped = [True]
    assert await rig.handle() == DEAD


class TestFirstSends:
    """What the watch over a release looks at."""

    def counts(self, rig: Rig) -> list[float]:
        """Those sent, refused, unavailable, unanswered and failed."""
        value = rig.metrics.registry.get_sample_value
        names = ("sent", "refused", "unavailable", "unanswered", "failed")
        return [value("first_sends_total", {"outcome": name}) or 0 for name in names]

    @pytest.mark.parametrize(
        ("failure", "counts"),
        [
            (None, [1, 0, 0, 0, 0]),
            (SendRefused("x"), [0, 1, 0, 0, 0]),
            (SendDeferred("x"), [0, 0, 1, 0, 0]),
            (NotSent("x"), [0, 0, 0, 1, 0]),
            (OutcomeUnknown("x"), [0, 0, 0, 1, 0]),
        ],
    )
    async def test_each_end_is_counted(self, failure: Exception | None, counts: list[float]) -> None:
        """Sent, refused for our own fault, not done now, or without an answer."""
        rig = Rig()
        assert self.counts(rig) == [0, 0, 0, 0, 0]
        rig.messenger.failure = failure
        await rig.handle()
        assert self.counts(rig) == counts

    async def test_only_the_first_counts(self) -> None:
        """A message that is tried again and again is one, however it ends; another is another."""
        rig = Rig()
        answering = rig.answering()
        for attempt, failure in enumerate((SendDeferred("x"), SendRefused("x"), None), start=1):
            rig.inbox.attempt, rig.messenger.failure = attempt, failure
            await answering.handle(entry())
        await answering.handle(replace(entry(), id="2-0"))
        assert self.counts(rig) == [1, 0, 1, 0, 0]

    async def test_a_message_without_a_credit_is_not_counted(self) -> None:
        """Nobody is to be answered."""
        rig = Rig()
        rig.database = FakeDatabase(rig.journal, Reservation.NO_CREDIT)
        await rig.handle()
        assert self.counts(rig) == [0, 0, 0, 0, 0]

    async def test_what_the_database_did_not_admit_is_unanswered(self) -> None:
        """It never came to a sending, and its customer waits all the same."""
        rig = Rig()
        rig.database.down = {"reserve"}
        await rig.handle()
        assert self.counts(rig) == [0, 0, 0, 1, 0]

    async def test_an_error_of_ours_before_the_sending_is_counted(self) -> None:
        """Once a message, whatever becomes of it later."""
        rig = Rig()
        rig.messenger.failure = ZeroDivisionError()
        for attempt in (1, 2):
            rig.inbox.attempt = attempt
            await rig.handle()
        assert self.counts(rig) == [0, 0, 0, 0, 1]

    @pytest.mark.parametrize("lane", [gate_lane("r-1"), LIVE])
    async def test_what_redis_did_or_a_gate_sent_is_not_counted(self, lane: Lane) -> None:
        """Redis away is no error of ours, and a gate's messages are nobody's."""
        rig = Rig()
        rig.messenger.failure = StoreAway("x") if lane is LIVE else ZeroDivisionError()
        await rig.handle(replace(entry(), lane=lane))
        assert self.counts(rig) == [0, 0, 0, 0, 0]

    def test_those_tried_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A long outage fills no memory."""
        monkeypatch.setattr("service.messages.first_sends.MAX_TRIED", 2)
        rig = Rig()
        for number in (1, 2, 3, 3, 2, 1):
            rig.first_sends.count(f"{number}-0", SendOutcome.UNAVAILABLE)
        assert self.counts(rig) == [0, 0, 4, 0, 0]


def test_drafts_are_bounded() -> None:
    """A long outage fills no memory: the oldest drafts go."""
    drafts = Drafts(most=2)
    for number in range(3):
        drafts.keep(f"{number}-0", str(number))
    assert [drafts.take(f"{number}-0") for number in range(3)] == [None, "1", "2"]
    assert drafts.take("2-0") is None


class TestProof:
    """What WAHA told of a reply counts more than what its API said."""

    @pytest.mark.parametrize("failure", [OutcomeUnknown("x"), NotSent("x")])
    async def test_proof_comes_before_the_end(self, failure: Exception) -> None:
        """An unknown outcome whose proof is there is sent, and charged, also where WAHA said it was not."""
        rig = Rig(attempt=MAX_ATTEMPTS)
        rig.receipts.found = "what was said"
        rig.messenger.failure = failure
        rig.inbox.attempt = 1 if isinstance(failure, OutcomeUnknown) else MAX_ATTEMPTS
        journal = await rig.handle()
        assert journal[-2:] == SENT
        assert rig.lines == [("Message reconciled", "processed")]
        assert rig.counted("messages_reconciled_total") == rig.counted("credits_used_total") == 1
        assert rig.database.settled[0].reply == "what was said"

    @pytest.mark.parametrize("state", [TakeState.UNKNOWN, TakeState.GO])
    async def test_second_attempt_looks_first(self, state: TakeState) -> None:
        """Whoever takes a message again sends nothing if it was sent by then."""
        rig = Rig(state=state, attempt=2)
        rig.receipts.found = "what was said"
        assert await rig.handle() == SENT

    async def test_replayed_message_looks_first(self) -> None:
        """A message that an operator put back is not answered again if the proof came meanwhile."""
        rig = Rig()
        rig.receipts.found = "what was said"
        assert await rig.handle(entry(replayed="1")) == SENT


class TestCredit:
    """The billing guard."""

    async def test_no_credit_means_no_reply(self) -> None:
        """Nothing is written or sent; it is logged in the guard's words, counted, and the owner told."""
        rig = Rig()
        rig.database.reservation = Reservation.NO_CREDIT
        assert await rig.handle() == [
            "reserve",
            ("settle", "no_credit"),
            ("finish", None),
            ("notice", "default"),
        ]
        (line,) = rig.logs.entries
        assert (line["event"], line["tenant"], line["requestId"]) == (
            "Billing guard: no credit",
            "default",
            "r",
        )
        assert rig.counted("billing_guard_refusals_total") == 1
        assert rig.counted("credits_used_total") == 0

    async def test_database_down_before_the_reply_means_later(self) -> None:
        """Nobody knows whether there is credit: the message is tried again, and nothing is sent."""
        rig = Rig()
        rig.database.down = {"reserve"}
        assert (await rig.handle(), rig.lines) == ([], [("Message failed", "failed")])
        assert rig.counted("messages_total", outcome="retry") == 1
        assert [alarm for alarm, _ in rig.alarms.raised] == [Alarm.CREDIT_FAILURE]

    async def test_database_down_after_the_reply_ends_the_message(self) -> None:
        """A sent reply is not sent again and holds nobody up: the database is told later."""
        rig = Rig()
        rig.database.down = {"settle"}
        assert await rig.handle() == [*WRITTEN, ("unsettled", "answered"), *SENT[1:]]
        assert rig.unsettled.kept[0].outcome is MessageOutcome.ANSWERED
        assert rig.lines == [("Message processed", "processed")]
        assert rig.counted("credits_used_total") == 0

    @pytest.mark.parametrize("tenant", ["+1 555 1234567", "15551234567", "a b", "x" * 65, "ümlaut"])
    async def test_tenant_that_may_be_a_number_has_a_pseudonym(self, tenant: str) -> None:
        """Metadata can hold anything: only what is plainly a name is logged."""
        rig = Rig()
        rig.database.reservation = Reservation.NO_CREDIT
        body = event().replace(b'"metadata":{}', f'"metadata":{{"tenant":"{tenant}"}}'.encode())
        await rig.handle(entry(body))
        (line,) = rig.logs.entries
        assert line["tenant"] != tenant
        assert len(line["tenant"]) == 16


class TestAge:
    """Old backlog."""

    def old(self) -> bytes:
        """A message that was written too long ago."""
        return event("hello", payload={"timestamp": int(time.time() - MAX_AGE_S - 5)})

    async def test_old_message_is_stored(self) -> None:
        """It is logged in the database and told once; no credit is held, and nothing is sent."""
        rig = Rig()
        assert await rig.handle(entry(self.old())) == [("settle", "stored"), ("finish", None)]
        assert rig.lines == [("Message stored", "processed")]
        assert rig.counted("messages_stored_total") == 1

    async def test_replayed_message_is_answered_whatever_its_age(self) -> None:
        """An operator who puts a message back wants it answered."""
        rig = Rig()
        assert ("send", "hello") in await rig.handle(entry(self.old(), replayed="1"))

    async def test_message_without_a_time_is_as_old_as_its_webhook(self) -> None:
        """Old versions of WAHA tell none."""
        rig = Rig()
        body = event(payload={"timestamp": None})
        assert ("send", "hello") in await rig.handle(entry(body))
        rig = Rig()
        assert ("settle", "stored") in await rig.handle(entry(body, received="1000"))


@pytest.mark.parametrize("given", [entry(b"not an event"), entry(received="soon", body=b"{}")])
async def test_foreign_entry_stays_pending(given: Any) -> None:
    """An error of ours ends neither the worker nor the message: it is logged, and tried again later."""
    rig = Rig()
    assert (await rig.handle(given), rig.lines) == ([], [("Message failed", "failed")])
    assert rig.counted("messages_total", outcome="failed") == 1


async def test_foreign_entry_is_a_dead_letter_at_last() -> None:
    """What holds no message is nobody's to be charged."""
    rig = Rig(attempt=MAX_ATTEMPTS + 1)
    assert await rig.handle(entry(b"not an event")) == [("finish", "dead")]


async def test_lines_have_the_runbooks_fields() -> None:
    """Each end of an attempt is one line with the webhook's request id."""
    rig = Rig()
    await rig.handle()
    rig.messenger.failure = NotSent("x")
    await rig.handle()
    (told,), (logged,) = rig.told, rig.logs.entries
    for line in (told, logged):
        assert (line["webhook"], line["requestId"], line["chat"], line["lane"]) == (True, "r", "c", "live")
    assert (logged["reason"], logged["attempt"]) == ("x", 1)
