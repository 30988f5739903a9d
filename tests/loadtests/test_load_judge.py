import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_targets import load_limits

from contracts.targets import Load, read_targets
from contracts.verdict import Check, Verdict
from loadtests.arrivals import Kind, Plan
from loadtests.book import BAD_SIGNATURE_ACCEPTED, Book, Outcome
from loadtests.evidence import Ending, Evidence
from loadtests.generator_use import ProcessUse
from loadtests.judge import cannot_pass, judge
from loadtests.scenarios import Phase

LOAD = load_limits(min_samples=299)
COMPARE = read_targets().compare
IDLE = (ProcessUse("here", 2, cpu_s=2, wall_s=20),)
PLAN = Plan.steady(50, 2, 20)


def new_book(plan: Plan = PLAN) -> Book:
    """A book without entries."""
    return Book(plan, slow_s=LOAD.webhook_p95_ms / 1000, late_s=LOAD.late_ms / 1000)


def good_book(plan: Plan = PLAN, *, answer_s: float = 0.02, late_s: float = 0.001) -> Book:
    """A book in which every webhook was accepted and answered once."""
    book = new_book(plan)
    for index, due_s in enumerate(plan.due_s):
        book.settle(index, Outcome(late_s, answer_s))
        book.replied(index, at_s=due_s + 0.1, seen_s=due_s + 1)
    return book


def checks_of(
    book: Book,
    ending: Ending = Ending.COMPLETE,
    *,
    replies_asked: bool = True,
    problem: str | None = None,
    generator: tuple[ProcessUse, ...] = IDLE,
    probes: Book | None = None,
    load: Load = LOAD,
) -> dict[str, Check]:
    """The judgement on *book*, by name."""
    evidence = Evidence(book, ending, replies_asked, problem, generator, probes)
    return {check.name: check for check in judge(evidence, load, COMPARE)}


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
        book.settle(index, Outcome(0, 0.01, "no answer within 10 s"))
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
            book.settle(index, Outcome(0, 0.01, "status 500"))
        else:
            book.settle(index, Outcome(0, 0.01))
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
        book.settle(index, Outcome(0, 0.01))
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
    assert list(checks_of(good_book(), replies_asked=False)) == [
        "sent on time",
        "generator CPU",
        "error rate",
        "webhook p95",
        "slowest webhook",
    ]


@pytest.mark.parametrize("ending", [Ending.INTERRUPTED, Ending.HOPELESS, Ending.WORKERS_LOST])
def test_run_that_did_not_end_never_passes(ending: Ending) -> None:
    """However good its figures, a run that was ended before its end does not pass."""
    assert verdict_of(checks_of(good_book(), ending)) is Verdict.NO_EVIDENCE


def test_interrupted_run_still_fails_what_failed() -> None:
    """An interruption does not hide errors that are already too many."""
    book = new_book()
    for index in range(50):
        book.settle(index, Outcome(0, 0.01, "status 500"))
    assert checks_of(book, Ending.INTERRUPTED)["error rate"].verdict is Verdict.FAIL


webhooks = st.lists(
    st.tuples(st.sampled_from(["accepted", "failed", "unsent"]), st.floats(0, 0.2), st.floats(0, 4.0)),
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
            book.settle(index, Outcome(late_s, answer_s))
        elif outcome == "failed":
            book.settle(index, Outcome(late_s, 0.01, "status 500"))
        else:
            book.settle(index, Outcome.unsent("generator: limit"))
        given_up = given_up or (index < seen and cannot_pass(book, LOAD))
    if given_up:
        few = LOAD.model_copy(update={"min_samples": 1})
        assert verdict_of(checks_of(book, replies_asked=False, load=few)) is not Verdict.PASS


def test_bad_release_is_given_up_at_the_first_certainty() -> None:
    """With 1 % of 1,100 allowed, the eleventh error ends the run, and not the tenth."""
    book = new_book()
    for index in range(10):
        book.settle(index, Outcome(0, 0.01, "status 500"))
    assert not cannot_pass(book, LOAD)
    book.settle(10, Outcome(0, 0.01, "status 500"))
    assert cannot_pass(book, LOAD)


def test_slow_release_is_given_up_when_its_p95_is_lost() -> None:
    """With 1,000 counted, the 51st slow answer ends the run, and not the 50th; the warm-up does not count."""
    book = new_book()
    for index in range(150):
        book.settle(index, Outcome(0, 0.6))
    assert not cannot_pass(book, LOAD)
    book.settle(150, Outcome(0, 0.6))
    assert cannot_pass(book, LOAD)


def test_one_stall_fails_though_the_p95_is_good() -> None:
    """A single webhook that took 4 s fails by itself, and ends the run: no percentile would show it."""
    book = new_book()
    book.settle(500, Outcome(0, 4))
    assert cannot_pass(book, LOAD)
    for index in set(range(PLAN.total)) - {500}:
        book.settle(index, Outcome(0, 0.02))
    checks = checks_of(book)
    assert checks["webhook p95"].verdict is Verdict.PASS
    assert str(checks["slowest webhook"]) == "slowest webhook: fail: 4000 ms, limit 3000 ms, samples 1000"


def test_stall_of_the_generator_is_no_evidence() -> None:
    """Where the generator itself stood still that long, the slow answer may be its own."""
    book = good_book(Plan.steady(1, 0, 300))
    book.slowest_s, book.latest_s = 3.5, 0.7
    check = checks_of(book)["slowest webhook"]
    assert (check.verdict, check.value) == (Verdict.NO_EVIDENCE, 3500)
    assert check.detail == "the generator itself was late by 700 ms"


@pytest.mark.parametrize(
    ("generator", "share"),
    [
        ((ProcessUse("a", 2, 17.2, 20),), 0.86),
        ((ProcessUse("a", 2, 1, 20), ProcessUse("a", 2, 19, 20)), 0.95),
        (tuple(ProcessUse("a", 2, 12, 20) for _ in range(3)), 0.9),
        ((ProcessUse("a", 2, 2, 20), ProcessUse("b", 1, 18, 20)), 0.9),
    ],
)
def test_busy_generator_proves_nothing(generator: tuple[ProcessUse, ...], share: float) -> None:
    """Above 85 % of a core for a process, or of its machine's cores for all, no time is evidence."""
    checks = checks_of(good_book(answer_s=0.6), generator=generator)
    assert (checks["generator CPU"].verdict, checks["generator CPU"].value) == (Verdict.NO_EVIDENCE, share)
    assert checks["webhook p95"].verdict is Verdict.NO_EVIDENCE
    assert verdict_of(checks) is Verdict.NO_EVIDENCE


def test_processes_beside_each_other_are_not_too_busy() -> None:
    """Three processes that use half a core each are fine on two machines of two cores."""
    generator = tuple(ProcessUse(host, 2, 10, 20) for host in "aab")
    assert checks_of(good_book(), generator=generator)["generator CPU"].verdict is Verdict.PASS


def test_generator_that_never_sent_is_no_evidence() -> None:
    """Where nothing was measured there is no good figure."""
    check = checks_of(new_book(), Ending.INTERRUPTED, generator=())["generator CPU"]
    assert (check.verdict, check.value) == (Verdict.NO_EVIDENCE, None)


@pytest.mark.parametrize("sent", [1100, 1095, 1080, 500])
def test_lost_worker_blames_the_generator(sent: int) -> None:
    """What a dead worker did not send is the generator's failure, and never a pass, however little it was."""
    book = new_book()
    for index in range(sent):
        book.settle(index, Outcome(0, 0.02))
    book.close("generator: 1 of 2 workers were lost")
    checks = checks_of(book, Ending.WORKERS_LOST)
    assert {check.verdict for check in checks.values()} == {Verdict.NO_EVIDENCE}


FORGED = Plan.of([Phase(at_once=1000)], 0, bad_signatures=0.4)


def test_accepted_forgery_fails() -> None:
    """A single webhook that was taken with a bad signature fails, and ends the run at once."""
    book = new_book(FORGED)
    forged = FORGED.kinds.index(Kind.FOREIGN)
    book.settle(forged, Outcome(0, 0.02, BAD_SIGNATURE_ACCEPTED))
    assert cannot_pass(book, LOAD)
    for index in set(range(FORGED.total)) - {forged}:
        book.settle(index, Outcome(0, 0.02))
    check = checks_of(book)["bad signatures"]
    assert str(check) == "bad signatures: fail: 1 accepted, limit 0 accepted, samples 399"


@pytest.mark.parametrize(("share", "verdict"), [(0.4, "pass"), (0.2, "no evidence")])
def test_few_forgeries_are_no_evidence(share: float, verdict: str) -> None:
    """That none was accepted shows something only if enough were sent; without any there is no such check."""
    book = good_book(Plan.of([Phase(at_once=1000)], 0, bad_signatures=share))
    assert checks_of(book)["bad signatures"].verdict == verdict
    assert "bad signatures" not in checks_of(good_book())


@pytest.mark.parametrize(("failed", "verdict"), [(0, "pass"), (1, "fail")])
def test_every_health_probe_must_be_answered(failed: int, verdict: str) -> None:
    """One probe without its 200 in time fails; the slowest is told."""
    probes = new_book(Plan.steady(2, 0, 10))
    for index in range(20):
        probes.settle(index, Outcome(0, 0.3, "no answer within 5 s" if index < failed else None))
    check = checks_of(good_book(), probes=probes)["health"]
    assert (check.verdict, check.samples) == (verdict, 20)
    assert check.detail == ("no answer within 5 s: 1" if failed else "slowest 300 ms")


def test_health_that_was_not_probed_to_the_end_is_no_evidence() -> None:
    """Good answers to a part of the probes are not all."""
    probes = new_book(Plan.steady(2, 0, 10))
    probes.settle(0, Outcome(0, 0.3))
    assert checks_of(good_book(), probes=probes)["health"].verdict is Verdict.NO_EVIDENCE
