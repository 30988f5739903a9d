import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import Plan
from loadtests.book import NEVER, Book

OUTCOMES = st.lists(st.sampled_from(["accepted", "failed", "unsent", "open"]), min_size=20, max_size=20)


def book_of(outcomes: list[str]) -> Book:
    """A book of ten arrivals to warm up and as many that count, with these outcomes."""
    book = Book(Plan.steady(10, 1, len(outcomes) / 10 - 1), slow_s=0.5, late_s=0.1)
    for index, outcome in enumerate(outcomes):
        if outcome == "accepted":
            book.accepted(index, late_s=0.01, answer_s=0.02)
        elif outcome == "failed":
            book.failed(index, "status 500", late_s=0.01)
        elif outcome == "unsent":
            book.unsent(index, "too late")
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
        book.accepted(3, late_s=0, answer_s=0.1)


def test_unsent_is_never_on_time() -> None:
    """Webhooks that the generator did not send, or sent late, are not sent on time."""
    book = Book(Plan.steady(10, 0, 1), slow_s=0.5, late_s=0.1)
    book.unsent(0, "too late")
    book.accepted(1, late_s=0.2, answer_s=0.3)
    book.accepted(2, late_s=0.1, answer_s=0.3)
    assert (book.on_time, book.late, book.latest_s) == (1, 2, 0.2)


def test_replies_are_timed_from_the_intended_time() -> None:
    """The first reply gives the time, from when the webhook was due; a second makes it doubled."""
    book = Book(Plan.steady(10, 0, 1), slow_s=0.5, late_s=0.1)
    for index in range(3):
        book.accepted(index, late_s=0, answer_s=0.05)
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
