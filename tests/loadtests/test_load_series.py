import json

from loadtests.arrivals import Plan
from loadtests.book import Book, Outcome
from loadtests.scenarios import Phase
from loadtests.series import Series, series_of

PHASES = [Phase(seconds=1, rate_per_s=2), Phase(seconds=1), Phase(seconds=1, rate_per_s=2)]


def book_of(outcomes: list[Outcome]) -> Book:
    """A book of two webhooks in the first second, none in the second and two in the third."""
    book = Book(Plan.of(PHASES, 0), slow_s=0.5, late_s=0.1)
    for index, outcome in enumerate(outcomes):
        book.settle(index, outcome)
    return book


def test_each_second_has_its_figures() -> None:
    """By the time at which webhooks were due; a second without any has no times, what failed has its own."""
    book = book_of(
        [Outcome(0, 0.010), Outcome(0, 0.020), Outcome(0, 3, "no answer"), Outcome.unsent("generator: limit")]
    )
    book.replied(0, at_s=0.3, seen_s=1)
    live = book_of([Outcome(0, 0.004), Outcome(0, 0.006)])
    told = series_of("steady", 1_800_000_000, book, live)
    document = json.loads(Series(scenarios=[told]).model_dump_json())
    (scenario,) = document["scenarios"]
    assert (scenario["name"], scenario["start"]) == ("steady", "2027-01-15T08:00:00Z")
    nothing = dict.fromkeys(
        (
            "p50_ms",
            "p95_ms",
            "max_ms",
            "reply_p95_ms",
            "baseline_p50_ms",
            "baseline_p95_ms",
            "baseline_max_ms",
        )
    )
    times = {"p50_ms": 10, "p95_ms": 20, "max_ms": 20, "reply_p95_ms": 300}
    baseline = {"baseline_p50_ms": 4, "baseline_p95_ms": 6, "baseline_max_ms": 6}
    stalled = {**nothing, "p50_ms": 3000, "p95_ms": 3000, "max_ms": 3000}
    assert scenario["seconds"] == [
        {"t": 0, "sent": 2, "failed": 0, **times, **baseline},
        {"t": 1, "sent": 0, "failed": 0, **nothing},
        {"t": 2, "sent": 1, "failed": 2, **stalled},
    ]


def test_run_that_sent_nothing_has_no_seconds() -> None:
    """There is nothing to plot."""
    assert series_of("steady", 0, book_of([]), None).seconds == []
