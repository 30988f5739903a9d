import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_targets import load_limits

from contracts.verdict import Check, Verdict
from loadtests.arrivals import Plan
from loadtests.book import Book
from loadtests.judge import Ending, Evidence, cannot_pass, judge

LOAD = load_limits(min_samples=299)
PLAN = Plan.steady(50, 2, 20)


def new_book(plan: Plan = PLAN) -> Book:
    """A book without entries."""
    return Book(plan, slow_s=LOAD.webhook_p95_ms / 1000, late_s=LOAD.late_ms / 1000)


def good_book(plan: Plan = PLAN, *, answer_s: float = 0.02, late_s: float = 0.001) -> Book:
    """A book in which every webhook was accepted and answered once."""
    book = new_book(plan)
    for index, due_s in enumerate(plan.due_s):
        book.accepted(index, late_s=late_s, answer_s=answer_s)
        book.replied(index, at_s=due_s + 0.1, seen_s=due_s + 1)
    return book


def checks_of(
    book: Book,
    ending: Ending = Ending.COMPLETE,
    *,
    replies_asked: bool = True,
    problem: str | None = None,
) -> dict[str, Check]:
    """The judgement on *book*, by name."""
    evidence = Evidence(book, ending, replies_asked, problem, cpu_share=0.1)
    return {check.name: check for check in judge(evidence, LOAD)}


def verdict_of(checks: dict[str, Check]) -> Verdict:
    """What the checks amount to."""
    return Verdict.worst(check.verdict for check in checks.values())


def test_good_run_passes_every_check() -> None:
    """A run in which all went well passes, and each figure names its value, limit and samples."""
    checks = checks_of(good_book())
    assert {check.verdict for check in checks.values()} == {Verdict.PASS}
    assert str(checks["webhook p95"]) == "webhook p95: pass: 20 ms, limit 500 ms, samples 1000"
    assert [checks[name].samples for name in ("error rate", "reply p95", "lost")] == [1100, 1000, 1100]


def test_nothing_sent_is_no_evidence() -> None:
    """A run that sent nothing has good figures in Locust, and is no evidence here."""
    assert verdict_of(checks_of(new_book(), Ending.INTERRUPTED)) is Verdict.NO_EVIDENCE
    assert verdict_of(checks_of(new_book(), Ending.COMPLETE)) is Verdict.NO_EVIDENCE


def test_unanswered_webhooks_are_errors() -> None:
    """When no webhook is answered, all are errors, and there is no percentile that could look good."""
    book = new_book()
    for index in range(PLAN.total):
        book.failed(index, "no answer within 10 s", late_s=0)
    checks = checks_of(book)
    assert str(checks["error rate"]) == (
        "error rate: fail: 1, limit 0.01, samples 1100: no answer within 10 s: 1100"
    )
    assert (checks["webhook p95"].verdict, checks["webhook p95"].value) == (Verdict.FAIL, None)


@pytest.mark.parametrize(("errors", "verdict"), [(0, "pass"), (10, "pass"), (11, "fail"), (55, "fail")])
def test_error_rate_must_stay_below_its_limit(errors: int, verdict: str) -> None:
    """1 % of the intended webhooks is the limit: 11 errors of 1,100 fail, 10 pass."""
    book = new_book()
    for index in range(PLAN.total):
        if index < errors:
            book.failed(index, "status 500", late_s=0)
        else:
            book.accepted(index, late_s=0, answer_s=0.01)
    assert checks_of(book)["error rate"].verdict == verdict


@pytest.mark.parametrize(("samples", "verdict"), [(298, "no evidence"), (299, "pass")])
def test_few_samples_are_no_evidence(samples: int, verdict: str) -> None:
    """Good figures from fewer samples than `min_samples` are no evidence, for any of the checks on them."""
    checks = checks_of(good_book(Plan.steady(1, 0, samples)))
    named = ["error rate", "webhook p95", "reply p95", "lost", "doubled"]
    assert {checks[name].verdict for name in named} == {verdict}


def test_late_answers_fail_the_p95() -> None:
    """Answers after 0.6 s fail a limit of 500 ms, with the exact value."""
    check = checks_of(good_book(answer_s=0.6004))["webhook p95"]
    assert (check.verdict, check.value) == (Verdict.FAIL, 600.4)


@pytest.mark.parametrize("answer_s", [0.02, 4.0])
def test_lagging_generator_proves_nothing(answer_s: float) -> None:
    """A generator that sent late gives no evidence, whether the times it measured were good or bad."""
    checks = checks_of(good_book(answer_s=answer_s, late_s=0.5))
    assert verdict_of(checks) is Verdict.NO_EVIDENCE
    assert "the generator did not keep up" in checks["webhook p95"].detail


def test_lost_message_fails() -> None:
    """One accepted message without a reply fails, whatever all others did."""
    book = new_book()
    for index, due_s in enumerate(PLAN.due_s):
        book.accepted(index, late_s=0, answer_s=0.01)
        if index != 700:
            book.replied(index, at_s=due_s + 0.1, seen_s=due_s + 1)
    assert str(checks_of(book)["lost"]).startswith("lost: fail: 1 messages, limit 0 messages, samples 1100")


def test_doubled_reply_fails_even_when_reading_broke_off() -> None:
    """A message that was seen to be answered twice fails, even where the other replies are unknown."""
    book = good_book()
    book.replied(9, at_s=1, seen_s=2)
    assert checks_of(book)["doubled"].verdict is Verdict.FAIL
    assert checks_of(book, problem="replies could not be read")["doubled"].verdict is Verdict.FAIL


def test_unreadable_replies_are_no_evidence() -> None:
    """When the replies cannot be read, nothing is known to be lost, and nothing to have been answered."""
    checks = checks_of(good_book(), problem="replies could not be read: 404")
    assert {checks[name].verdict for name in ("reply p95", "lost", "doubled")} == {Verdict.NO_EVIDENCE}
    assert checks["lost"].detail == "replies could not be read: 404"


def test_differing_clocks_are_no_evidence_for_reply_times() -> None:
    """Reply times by a clock that differs from ours prove nothing; that every reply came still holds."""
    book = good_book()
    book.replied(5, at_s=-3, seen_s=1)
    checks = checks_of(book)
    assert checks["reply p95"].verdict is Verdict.NO_EVIDENCE
    assert "clocks" in checks["reply p95"].detail
    assert checks["lost"].verdict is Verdict.PASS


def test_replies_left_out_are_not_judged() -> None:
    """Without reading replies there is no check on them that could be taken for a pass."""
    assert list(checks_of(good_book(), replies_asked=False)) == ["sent on time", "error rate", "webhook p95"]


@pytest.mark.parametrize("ending", [Ending.INTERRUPTED, Ending.HOPELESS])
def test_run_that_did_not_end_never_passes(ending: Ending) -> None:
    """However good its figures, a run that was ended before its end does not pass."""
    assert verdict_of(checks_of(good_book(), ending)) is Verdict.NO_EVIDENCE


def test_interrupted_run_still_fails_what_failed() -> None:
    """An interruption does not hide errors that are already too many."""
    book = new_book()
    for index in range(50):
        book.failed(index, "status 500", late_s=0)
    assert checks_of(book, Ending.INTERRUPTED)["error rate"].verdict is Verdict.FAIL


webhooks = st.lists(
    st.tuples(st.sampled_from(["accepted", "failed", "unsent"]), st.floats(0, 0.2), st.floats(0, 1.0)),
    min_size=40,
    max_size=120,
)


@given(webhooks, st.integers(1, 120))
def test_run_given_up_would_not_have_passed(outcomes: list[tuple[str, float, float]], seen: int) -> None:
    """When a run is given up part of the way, then its whole would not have passed either."""
    plan = Plan.steady(10, 1, len(outcomes) / 10 - 1)
    book, given_up = new_book(plan), False
    for index, (outcome, late_s, answer_s) in enumerate(outcomes[: plan.total]):
        if outcome == "accepted":
            book.accepted(index, late_s=late_s, answer_s=answer_s)
        elif outcome == "failed":
            book.failed(index, "status 500", late_s=late_s)
        else:
            book.unsent(index, "generator: limit")
        given_up = given_up or (index < seen and cannot_pass(book, LOAD))
    if given_up:
        few = LOAD.model_copy(update={"min_samples": 1})
        checks = judge(Evidence(book, Ending.COMPLETE, False, None, 0.1), few)
        assert Verdict.worst(check.verdict for check in checks) is not Verdict.PASS


def test_bad_release_is_given_up_at_the_first_certainty() -> None:
    """With 1 % of 1,100 allowed, the eleventh error ends the run, and not the tenth."""
    book = new_book()
    for index in range(10):
        book.failed(index, "status 500", late_s=0)
    assert not cannot_pass(book, LOAD)
    book.failed(10, "status 500", late_s=0)
    assert cannot_pass(book, LOAD)


def test_slow_release_is_given_up_when_its_p95_is_lost() -> None:
    """With 1,000 counted, the 51st slow answer ends the run, and not the 50th; the warm-up does not count."""
    book = new_book()
    for index in range(150):
        book.accepted(index, late_s=0, answer_s=0.6)
    assert not cannot_pass(book, LOAD)
    book.accepted(150, late_s=0, answer_s=0.6)
    assert cannot_pass(book, LOAD)
