import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import Kind, Plan
from loadtests.book import NEVER, Book, Outcome
from loadtests.scenarios import Phase

OUTCOMES = st.lists(st.sampled_from(["accepted", "failed", "unsent", "open"]), min_size=20, max_size=20)


def book_of(outcomes: list[str]) -> Book:
    """A book of ten arrivals to warm up and as many that count, with these outcomes."""
    book = Book(Plan.steady(10, 1, len(outcomes) / 10 - 1), slow_s=0.5, late_s=0.1)
    for index, outcome in enumerate(outcomes):
        if outcome == "accepted":
            book.settle(index, Outcome(0.01, 0.02))
        elif outcome == "failed":
            book.settle(index, Outcome(0.01, 0.03, "status 500"))
        elif outcome == "unsent":
            book.settle(index, Outcome.unsent("too late"))
    return book


@given(OUTCOMES)
def test_every_intended_webhook_is_in_the_account(outcomes: list[str]) -> None:
    """Closed, the book has an outcome for every intended webhook, and all but the accepted are errors."""
    book = book_of(outcomes)
    assert book.settled == 20 - outcomes.count("open")
    book.close()
    assert book.settled == 20
    assert book.failed_total == 20 - outcomes.count("accepted")
    assert len(book.answer_times_s()) == 10


@given(OUTCOMES)
def test_only_answered_webhooks_have_an_answer_time(outcomes: list[str]) -> None:
    """What was not accepted counts in the percentiles as endless, so that failing fast is never quick."""
    times = book_of(outcomes).answer_times_s()
    assert times.count(0.02) == outcomes[10:].count("accepted")
    assert times.count(NEVER) == outcomes[10:].count("failed") + outcomes[10:].count("unsent")


def test_an_outcome_is_final() -> None:
    """A webhook cannot be settled twice: the account would count one arrival as two."""
    book = book_of(["failed"] * 20)
    with pytest.raises(ValueError, match="settled twice"):
        book.settle(3, Outcome(0, 0.1))


def test_unsent_is_never_on_time() -> None:
    """Webhooks that the generator did not send, or sent late, are not sent on time."""
    book = Book(Plan.steady(10, 0, 1), slow_s=0.5, late_s=0.1)
    book.settle(0, Outcome.unsent("too late"))
    book.settle(1, Outcome(0.2, 0.3))
    book.settle(2, Outcome(0.1, 0.3))
    assert (book.on_time, book.late, book.latest_s) == (1, 2, 0.2)


def test_replies_are_timed_from_the_intended_time() -> None:
    """The first reply gives the time, from when the webhook was due; a second makes it doubled."""
    book = Book(Plan.steady(10, 0, 1), slow_s=0.5, late_s=0.1)
    for index in range(3):
        book.settle(index, Outcome(0, 0.05))
    book.replied(1, at_s=0.4, seen_s=1)
    book.replied(1, at_s=0.9, seen_s=1)
    book.replied(2, at_s=0.5, seen_s=1)
    assert book.reply_times_s() == [NEVER, pytest.approx(0.3), pytest.approx(0.3)]
    assert (book.unreplied, book.doubled) == (1, 1)


@pytest.mark.parametrize(("at_s", "gap_s"), [(-0.3, 0.4), (1.7, 0.7), (0.5, 0)])
def test_clocks_that_differ_are_noticed(at_s: float, gap_s: float) -> None:
    """A reply from before its webhook was due, or from after it was read, shows that the clocks differ."""
    book = Book(Plan.steady(10, 0, 1), slow_s=0.5, late_s=0.1)
    book.replied(1, at_s=at_s, seen_s=1.0)
    assert book.clock_gap_s == pytest.approx(gap_s)


@given(OUTCOMES)
def test_what_was_sent_has_a_time_however_it_ended(outcomes: list[str]) -> None:
    """For figures over time every webhook that was sent has the time until it was answered or given up."""
    found = [(took_s, failed) for _, took_s, failed in book_of(outcomes).outcomes()]
    told = {"accepted": (0.02, False), "failed": (0.03, True), "unsent": (None, True)}
    assert found == [told[outcome] for outcome in outcomes if outcome != "open"]


def test_slowest_is_whatever_took_longest_after_the_warm_up() -> None:
    """A webhook that was given up after seconds stood still that long, though it has no answer."""
    book = Book(Plan.steady(10, 0.5, 0.5), slow_s=0.5, late_s=0.1)
    book.settle(0, Outcome(0, 9))
    book.settle(5, Outcome(0, 2))
    book.settle(6, Outcome(0, 4, "no answer within 4 s"))
    book.settle(7, Outcome.unsent("generator: limit"))
    assert book.slowest_s == 4


def mixed_book() -> Book:
    """A book of one webhook of each kind, in the order of their numbers."""
    phases = [Phase(at_once=1000)]
    plan = Plan.of(phases, 0, duplicates=0.3, bad_signatures=0.2)
    return Book(plan, slow_s=0.5, late_s=0.1)


def first(book: Book, kind: Kind) -> int:
    """The first webhook of this kind."""
    return book.plan.kinds.index(kind)


def test_duplicate_is_no_message_of_its_own() -> None:
    """However often a message is sent, it is one that was accepted, and one reply is what is due."""
    book = mixed_book()
    index = first(book, Kind.LID)
    message = book.plan.originals[index]
    book.settle(message, Outcome(0, 0.1))
    book.settle(index, Outcome(0, 0.1))
    assert (book.answered_total, book.accepted_total, book.unreplied) == (2, 1, 1)
    book.replied(message, at_s=1, seen_s=1)
    assert (book.unreplied, book.doubled) == (0, 0)


def test_message_whose_duplicate_was_accepted_is_accepted() -> None:
    """WAHA sends a message again until it is taken: then a reply to it is due, whatever came before."""
    book = mixed_book()
    index = first(book, Kind.RETRIED)
    book.settle(book.plan.originals[index], Outcome(0, 0.1, "status 503"))
    book.settle(index, Outcome(0, 0.1))
    assert (book.failed_total, book.accepted_total, book.unreplied) == (1, 1, 1)


def test_refused_forgery_is_answered_and_no_message() -> None:
    """A bad signature that got its 401 is as it should be, and nobody waits for a reply."""
    book = mixed_book()
    book.settle(first(book, Kind.FOREIGN), Outcome(0, 0.1))
    assert (book.answered_total, book.accepted_total, book.answer_times_s()) == (1, 0, [])
