from dataclasses import replace

import pytest
from load_targets import load_limits

from contracts.targets import read_targets
from contracts.verdict import Check
from loadtests.arrivals import Plan
from loadtests.beside_live import beside_live
from loadtests.book import Book, Outcome
from loadtests.evidence import Ending, Evidence, Live
from loadtests.generator_use import ProcessUse
from loadtests.judge import judge

LOAD = load_limits(min_samples=299)
COMPARE = read_targets().compare
PLAN = Plan.steady(50, 2, 20)
IDLE = (ProcessUse("here", 2, 1, 20),)


def book_of(
    plan: Plan = PLAN,
    *,
    answer_s: float = 0.02,
    reply_s: float = 0.1,
    failed: int = 0,
    lost: int = 0,
    reason: str = "status 503",
) -> Book:
    """A book whose answers and replies took these times, and whose first so many failed, or were lost."""
    book = Book(plan, slow_s=0.5, late_s=0.1)
    for index, due_s in enumerate(plan.due_s):
        answered = index >= failed
        book.settle(index, Outcome(0, answer_s, None if answered else reason))
        if answered and index >= failed + lost:
            book.replied(index, at_s=due_s + reply_s, seen_s=due_s + 9)
    return book


def compared(candidate: Book, live: Book, problem: str | None = None) -> dict[str, Check]:
    """The two checks, by name."""
    evidence = Evidence(candidate, Ending.COMPLETE, True, None, IDLE)
    checks = beside_live(evidence, Live(live, problem), LOAD, COMPARE)
    return {check.name.split()[0]: check for check in checks}


@pytest.mark.parametrize(("slower", "verdict"), [(1, "pass"), (1.2, "pass"), (1.3, "fail"), (0.5, "pass")])
def test_candidate_that_is_certainly_slower_fails(slower: float, verdict: str) -> None:
    """Above 1.25 times the live release's time each of answer and reply fails; faster never does."""
    checks = compared(book_of(answer_s=0.02 * slower, reply_s=0.1 * slower), book_of())
    assert {check.verdict for check in checks.values()} == {verdict}
    assert checks["webhook"].value == checks["reply"].value == pytest.approx(slower, abs=0.001)


def test_answers_and_replies_are_compared_each_for_itself() -> None:
    """A slow worker does not hide behind fast answers."""
    checks = compared(book_of(reply_s=0.2), book_of())
    assert (checks["webhook"].verdict, checks["reply"].verdict) == ("pass", "fail")
    assert str(checks["reply"]) == (
        "reply against live: fail: 2, limit 1.25, samples 1000: p10 200.0 against 100.0 ms, 2.00 times "
        "(2.00 to 2.00); p50 200.0 against 100.0 ms, 2.00 times (2.00 to 2.00); p95 200.0 against 100.0 ms, "
        "2.00 times (2.00 to 2.00)"
    )


def test_warm_up_is_not_compared() -> None:
    """A new release's first answers are slower than those of one that has run for days."""
    candidate = Book(PLAN, slow_s=0.5, late_s=0.1)
    for index in range(PLAN.total):
        candidate.settle(index, Outcome(0, 0.02 if index >= PLAN.counted_from else 1))
    assert compared(candidate, book_of())["webhook"].value == 1


@pytest.mark.parametrize(
    ("plan", "problem"),
    [(Plan.steady(10, 0, 20), "20 blocks of 1 s"), (Plan.steady(50, 0, 10), "10 blocks of 1 s")],
)
def test_few_samples_are_no_evidence(plan: Plan, problem: str) -> None:
    """Too few webhooks, or seconds, show no difference and no equality."""
    checks = compared(book_of(plan), book_of(plan))
    assert {check.verdict for check in checks.values()} == {"no evidence"}
    assert problem in checks["webhook"].detail


def test_failing_live_release_can_be_replaced() -> None:
    """Where more than 1 % of the live release's webhooks fail, the comparison is left out, and says so."""
    for failed, value in ((11, 1), (12, "live is failing"), (1100, "live is failing")):
        checks = compared(book_of(), book_of(failed=failed))
        assert {check.verdict for check in checks.values()} == {"pass"}
        assert checks["webhook"].value == value
    assert checks["webhook"].detail == "nothing to compare with: 1100 of 1100 webhooks to it failed"


def test_live_release_that_refuses_the_signature_is_not_failing() -> None:
    """With the candidate's secret that is the suite's fault; with its own it serves nobody."""
    live = book_of(failed=1100, reason="status 401")
    checks = compared(book_of(), live)
    assert [check.verdict for check in checks.values()] == ["no evidence"] * 2
    assert checks["webhook"].detail.endswith("another secret: give it in WAHA_WEBHOOK_SECRET_BASELINE")
    evidence = Evidence(book_of(), Ending.COMPLETE, True, None, IDLE)
    known = beside_live(evidence, Live(live, None, is_secret_known=True), LOAD, COMPARE)
    assert [(check.verdict, check.value) for check in known] == [("pass", "live is failing")] * 2


def test_live_release_that_answers_no_message_can_be_replaced() -> None:
    """Its webhooks are still compared, its replies are not."""
    checks = compared(book_of(answer_s=0.05), book_of(lost=12))
    assert (checks["webhook"].verdict, checks["reply"].verdict) == ("fail", "pass")
    assert checks["reply"].detail == "nothing to compare with: 12 of 1100 messages to it were not answered"
    unread = compared(book_of(), book_of(), "replies could not be read: 404")
    assert unread["reply"].value == "live is failing"


def test_unknown_replies_of_the_candidate_are_no_evidence() -> None:
    """Only the live release's failure is an excuse."""
    evidence = Evidence(book_of(), Ending.COMPLETE, True, "replies could not be read: 404", IDLE)
    webhook, reply = beside_live(evidence, Live(book_of(), None), LOAD, COMPARE)
    assert (webhook.verdict, reply.verdict) == ("pass", "no evidence")


def test_differing_clocks_are_no_evidence() -> None:
    """Replies that one of the two times by another clock cannot be compared."""
    live = book_of()
    live.replied(5, at_s=-3, seen_s=1)
    assert compared(book_of(), live)["reply"].verdict == "no evidence"


def test_comparison_stands_among_the_runs_checks() -> None:
    """It is judged with a live release given and not else; a generator that lags spoils it as all else."""
    good = Evidence(book_of(), Ending.COMPLETE, True, None, IDLE, live=Live(book_of(), None))
    names = [check.name for check in judge(good, LOAD, COMPARE)]
    assert names[-4:] == ["webhook against live", "reply against live", "lost", "doubled"]
    alone = replace(good, live=None)
    assert not [check for check in judge(alone, LOAD, COMPARE) if "live" in check.name]
    busy = replace(good, generator=(ProcessUse("here", 2, 19, 20),))
    verdicts = {check.name: check.verdict for check in judge(busy, LOAD, COMPARE)}
    assert verdicts["webhook against live"] == "no evidence"
