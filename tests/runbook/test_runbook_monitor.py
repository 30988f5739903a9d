"""Each check of the watch alone; it takes two observations in a row that find something wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.targets import read_targets
from contracts.verdict import Check, Verdict
from infra.proxy_control import Counters
from runbook.monitor import (
    MAX_WRONG_SHARE,
    Limits,
    Monitor,
    Observation,
    Queue,
    Sends,
    Webhooks,
    refused_sends,
    unanswered_messages,
    watch,
)

TARGETS = read_targets()
LIMITS = Limits(
    TARGETS.watch.model_copy(
        update={"failures": 2, "each_s": 5, "window_s": 60, "memory_share": 0.85, "queue_stuck_s": 40}
    ),
    TARGETS.rollout.model_copy(
        update={"min_samples": 50, "error_rate": 0.01, "mean_ms": 250, "slowest_ms": 3000}
    ),
    Sends(sent=990, refused=10),
)
WELL = Observation(
    at_s=0.0,
    release="r-2",
    counters=Counters(1000, 0, 5, 40),
    restarts=0,
    memory_share=0.4,
    queue=Queue("7-0", None),
    sends=Sends(500, 5, 3),
    webhooks=Webhooks(100),
)


class Stack:
    """Observes a stack that each observation finds as the next of *seen* says; time passes by sleeping."""

    def __init__(self, *seen: dict[str, Any]) -> None:
        self._seen = iter(seen)
        self._last: dict[str, Any] = {}
        self.now = 100.0
        self.observed = 0

    def __call__(self) -> Observation:
        self._last = next(self._seen, self._last)
        self.observed += 1
        counters = Counters(1000 + 100 * self.observed, 0, 5, 40)
        return replace(WELL, **{"at_s": self.now, "counters": counters, **self._last})

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watched(stack: Stack, for_s: float = 60) -> list[Check] | None:
    """What the watch of *stack* found."""
    return watch(Monitor("r-2", LIMITS), stack, for_s, lambda: stack.now, stack.sleep)


def judged(*seen: dict[str, Any], each_s: float = 5) -> dict[str, Check]:
    """The checks after these observations, by name."""
    monitor = Monitor("r-2", LIMITS)
    for number, found in enumerate(seen):
        monitor.add(replace(WELL, **{"at_s": number * each_s, **found}))
    return {check.name: check for check in monitor.judge()}


def counted(*counters: Counters | None, each_s: float = 5) -> dict[str, Check]:
    """The checks where the proxy counted so."""
    return judged(*({"counters": each} for each in counters), each_s=each_s)


def test_a_release_that_does_well_is_watched_to_the_end() -> None:
    """An observation each five seconds, and one at the end."""
    stack = Stack({})
    assert watched(stack, for_s=62) == []
    assert stack.observed == 14
    assert stack.now == 162


def test_every_check_passes_for_it() -> None:
    """Each says what it was held against."""
    more = {
        "counters": Counters(1100, 0, 5, 40),
        "sends": Sends(600, 6, 3, replied=99),
        "webhooks": Webhooks(190),
    }
    assert [str(check) for check in judged({}, more).values()] == [
        "error rate: pass: 0, limit 0.01, samples 100",
        "mean answer: pass: 5 ms, limit 250 ms, samples 100",
        "slowest answer: pass: 0 ms, limit 3000 ms, samples 100",
        "ready: pass: yes, limit yes, samples 1",
        "restarts: pass: 0, limit 0, samples 1",
        "memory: pass: 0.4, limit 0.85, samples 1",
        "queue stands still: pass: 0 s, limit 40 s, samples 1",
        "refused sends: pass: 0.0099, limit 0.01, samples 101: WAHA refused 1 of 101 messages",
        "failed messages: pass: 0, limit 0, samples 101",
        "unanswered messages: pass: 0 s, limit 40 s, samples 0",
        "refused webhooks: pass: 0 s, limit 40 s, samples 0",
    ]


WRONG: dict[str, dict[str, Any]] = {
    "ready": {"ready_problem": "HTTP 503"},
    "restarts": {"restarts": 1},
    "memory": {"memory_share": 0.9},
    "refused sends": {"sends": Sends(500, 45, 3)},
    "failed messages": {"sends": Sends(500, 5, 3, failed=40)},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_two_observations_find_wrong_is_told(name: str) -> None:
    """By the check meant for it, and no other."""
    stack = Stack({}, WRONG[name])
    failing = watched(stack)
    assert failing is not None
    assert [check.name for check in failing] == [name]
    assert stack.observed == 3


@pytest.mark.parametrize("name", ["ready", "memory"])
def test_what_one_observation_finds_wrong_may_be_noise(name: str) -> None:
    """It is well again at the next: the release stays."""
    assert watched(Stack({}, WRONG[name], {}, WRONG[name], {})) == []


def test_what_was_wrong_before_the_watch_is_not_the_releases_doing() -> None:
    """Restarts and refused messages are counted from its beginning."""
    before = {"restarts": 3, "sends": Sends(500, 400, 3)}
    assert watched(Stack(before, before)) == []


def test_not_ready_without_redis_is_the_worlds_doing() -> None:
    """Another release could not reach it either; with Redis there, the same answer counts."""
    away = judged({"ready_problem": "HTTP 503", "redis_away": True})["ready"]
    assert (away.verdict, away.value) == (Verdict.NO_EVIDENCE, "Redis cannot be reached")
    assert judged({"ready_problem": "HTTP 503"})["ready"].verdict is Verdict.FAIL
    assert judged({"redis_away": True})["ready"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        (0, 0, Verdict.PASS),
        (0, 1, Verdict.FAIL),
        (3, 3, Verdict.PASS),
        (None, 1, Verdict.PASS),
        (0, None, Verdict.NO_EVIDENCE),
        (None, None, Verdict.NO_EVIDENCE),
    ],
)
def test_restarts(first: int | None, last: int | None, verdict: Verdict) -> None:
    """None is one too many; what is first known of is what it began with."""
    assert judged({"restarts": first}, {"restarts": last})["restarts"].verdict is verdict


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.85, Verdict.PASS), (0.86, Verdict.FAIL), (None, Verdict.NO_EVIDENCE)]
)
def test_memory(share: float | None, verdict: Verdict) -> None:
    """Of the fullest container, against the target."""
    assert judged({"memory_share": share})["memory"].verdict is verdict


def stood(*queues: Queue | None) -> tuple[Verdict, float | str | None]:
    """Whether the queue stands still, and for how long, after these observations of it."""
    check = judged(*({"queue": queue} for queue in queues))["queue stands still"]
    return check.verdict, check.value


WAITS, LATER, EMPTY = Queue("7-0", 1000), Queue("8-0", 1000), Queue("7-0", None)


def test_a_queue_of_which_nothing_is_taken_stands_still() -> None:
    """For longer than one message may take."""
    assert stood(*9 * [WAITS]) == (Verdict.PASS, 40)
    assert stood(*10 * [WAITS]) == (Verdict.FAIL, 45)


def test_a_queue_of_which_one_is_taken_goes_on() -> None:
    """However old the oldest is, and however many wait."""
    assert stood(*9 * [WAITS], LATER) == (Verdict.PASS, 0)
    assert stood(*9 * [WAITS], LATER, LATER) == (Verdict.PASS, 5)


def test_an_empty_queue_does_not_stand_still() -> None:
    """Nothing has been taken for long, and nothing is to be taken: quiet counts from the next message."""
    assert stood(*20 * [EMPTY]) == (Verdict.PASS, 0)
    assert stood(*20 * [EMPTY], WAITS, WAITS) == (Verdict.PASS, 5)


def test_a_queue_that_could_not_be_seen_is_not_known_to_have_stood() -> None:
    """It counts from when it was seen again."""
    assert stood(*9 * [WAITS], None) == (Verdict.NO_EVIDENCE, None)
    assert stood(*9 * [WAITS], None, WAITS, WAITS) == (Verdict.PASS, 5)


USUAL = Sends(sent=990, refused=10)


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (Sends(), Verdict.NO_EVIDENCE),
        (Sends(sent=1), Verdict.PASS),
        (Sends(sent=100), Verdict.PASS),
        (Sends(refused=2), Verdict.NO_EVIDENCE),
        (Sends(refused=3), Verdict.FAIL),
        (Sends(sent=97, refused=3), Verdict.PASS),
        (Sends(sent=80, refused=20), Verdict.FAIL),
        (Sends(sent=9, refused=1), Verdict.PASS),
        (Sends(unavailable=500), Verdict.NO_EVIDENCE),
        (Sends(sent=1, unavailable=500), Verdict.PASS),
        (None, Verdict.NO_EVIDENCE),
    ],
)
def test_refused_sends_beside_a_usual_share(last: Sends | None, verdict: Verdict) -> None:
    """More than chance makes of the usual share, and more than two: a customer may have blocked us."""
    check = refused_sends(Sends(), last, USUAL)
    assert (check.verdict, check.limit) == (verdict, 0.01)


@pytest.mark.parametrize(
    ("last", "verdict"),
    [
        (Sends(refused=2), Verdict.NO_EVIDENCE),
        (Sends(refused=3), Verdict.FAIL),
        (Sends(sent=2, refused=3), Verdict.FAIL),
        (Sends(sent=3, refused=3), Verdict.PASS),
        (Sends(sent=997, refused=3), Verdict.PASS),
    ],
)
def test_refused_sends_without_a_usual_share(last: Sends, verdict: Verdict) -> None:
    """Most of them: nothing tells how many are refused to a release that is well."""
    check = refused_sends(Sends(), last, Sends())
    assert (check.verdict, check.limit) == (verdict, MAX_WRONG_SHARE)


def test_refused_sends_are_those_since_the_watch_began() -> None:
    """Of all, what is shown is share and number; without a beginning nobody knows what came since."""
    assert refused_sends(Sends(10, 90), Sends(110, 90), USUAL).verdict is Verdict.PASS
    assert refused_sends(None, Sends(60, 40), USUAL).verdict is Verdict.NO_EVIDENCE
    check = refused_sends(Sends(), Sends(60, 40), USUAL)
    assert str(check) == "refused sends: fail: 0.4, limit 0.01, samples 100: WAHA refused 40 of 100 messages"


def in_vain(*sends: Sends | None, usual: Sends = USUAL, is_up: bool = True) -> tuple[Verdict, object]:
    """How messages without a reply are judged, ten seconds between two observations of them."""
    seen = [Observation(at_s=10.0 * n, sends=each, dependencies_up=is_up) for n, each in enumerate(sends)]
    check = unanswered_messages(seen, usual, limit_s=40)
    return check.verdict, check.value


UNANSWERED = [Sends(unanswered=number) for number in range(6)]


def test_messages_that_nobody_answers_are_the_releases_doing() -> None:
    """Where all is up that it needs, and for as long as one message may take."""
    assert in_vain(*UNANSWERED) == (Verdict.FAIL, 40)
    assert in_vain(*UNANSWERED[:5]) == (Verdict.NO_EVIDENCE, 30)
    assert in_vain(*UNANSWERED, is_up=False) == (Verdict.NO_EVIDENCE, 0)
    assert in_vain(*UNANSWERED, *4 * [None]) == (Verdict.FAIL, 40)


def test_one_reply_shows_that_a_release_can() -> None:
    """However many are not answered before it or after."""
    more = [Sends(sent=1, unanswered=9, replied=1), Sends(sent=1, unanswered=99, replied=1)]
    assert in_vain(*UNANSWERED, *more) == (Verdict.PASS, 0)


def test_few_messages_without_a_reply_are_no_evidence() -> None:
    """Two, however far apart, may be of one customer."""
    two = [Sends(unanswered=number) for number in (0, 1, 1, 1, 1, 2)]
    assert in_vain(*two) == (Verdict.NO_EVIDENCE, 40)


def test_a_world_in_which_no_release_was_answered_is_not_the_releases_doing() -> None:
    """The one before it would not get a reply out either."""
    assert in_vain(*UNANSWERED, usual=Sends(unanswered=1)) == (Verdict.NO_EVIDENCE, 40)
    assert in_vain(*UNANSWERED, usual=Sends(unanswered=50, replied=1)) == (Verdict.FAIL, 40)
    assert in_vain(*UNANSWERED, usual=Sends()) == (Verdict.FAIL, 40)


def test_errors_are_judged_over_the_window() -> None:
    """From the observations' differences: 2 of 120 answers are more than one per cent, and may be chance."""
    few = counted(Counters(1000, 40, 5, 40), Counters(1060, 41, 5, 40), Counters(1120, 42, 5, 40))
    assert few["error rate"].verdict is Verdict.NO_EVIDENCE
    many = counted(Counters(1000, 40, 5, 40), Counters(1060, 43, 5, 40), Counters(1120, 48, 5, 40))
    assert str(many["error rate"]) == "error rate: fail: 0.0666667, limit 0.01, samples 120"


def test_errors_of_a_single_moment_are_no_evidence() -> None:
    """Whatever the world did between two observations; errors in two of them are the release's."""
    once = counted(Counters(1000, 0, 5, 40), Counters(1100, 60, 5, 40), Counters(1200, 60, 5, 40))
    assert once["error rate"].verdict is Verdict.NO_EVIDENCE
    twice = counted(Counters(1000, 0, 5, 40), Counters(1100, 60, 5, 40), Counters(1200, 61, 5, 40))
    assert twice["error rate"].verdict is Verdict.FAIL


def test_errors_while_redis_is_away_are_left_out() -> None:
    """Of the observation that finds it away, and of the next: what came before it was back is in that one."""
    seen = [
        {"counters": Counters(1000, 0, 5, 40)},
        {"counters": Counters(1100, 90, 5, 40), "redis_away": True},
        {"counters": Counters(1200, 180, 5, 40), "redis_away": True},
        {"counters": Counters(1300, 200, 5, 40)},
        {"counters": Counters(1400, 200, 5, 40)},
    ]
    found = judged(*seen)["error rate"]
    assert (found.verdict, found.value, found.samples) == (Verdict.PASS, 0, 100)


def quiet(*steps: tuple[int, int]) -> Check:
    """What is said of errors where so few answers (and errors) came each half a minute, then none."""
    counters, known = Counters(1000, 0, 5, 40), []
    for answers, errors in ((0, 0), *steps, (0, 0), (0, 0), (0, 0)):
        counters = replace(counters, requests=counters.requests + answers, errors=counters.errors + errors)
        known.append(counters)
    return counted(*known, each_s=30)["error rate"]


@pytest.mark.parametrize("steps", [[(1, 1), (1, 1)], [(1, 1), (4, 1)], [(3, 2), (6, 1)], [(20, 2), (10, 2)]])
def test_errors_that_are_no_chance_need_few_answers(steps: list[tuple[int, int]]) -> None:
    """A stack with a webhook now and then has a bad release taken out too; all of the watch counts."""
    found = quiet(*steps)
    assert (found.verdict, found.samples) == (Verdict.FAIL, sum(answers for answers, _ in steps))


@pytest.mark.parametrize(
    "steps", [[], [(30, 0)], [(1, 1)], [(4, 4)], [(30, 1)], [(5, 1), (4, 1)], [(20, 1), (10, 2)]]
)
def test_errors_that_may_be_chance_are_no_evidence(steps: list[tuple[int, int]]) -> None:
    """Neither does a release without them pass for so few answers."""
    assert quiet(*steps).verdict is Verdict.NO_EVIDENCE


def test_a_reload_of_the_proxy_begins_to_count_anew() -> None:
    """All that the new process counted is new."""
    found = counted(Counters(1000, 40, 5, 40), Counters(60, 4, 5, 40), Counters(120, 8, 5, 40))["error rate"]
    assert (found.verdict, found.value, found.samples) == (Verdict.FAIL, 8 / 120, 120)


def test_what_the_proxy_did_not_tell_is_in_its_next_answer() -> None:
    """Neither are errors of before the watch counted again, nor those missed that came meanwhile."""
    before, later = Counters(1000, 40, 5, 3500), Counters(1100, 40, 5, 3500)
    assert counted(before, None, later)["error rate"].value == 0
    missed = counted(before, None, Counters(1060, 43, 5, 3500))["error rate"]
    assert (missed.value, missed.samples) == (0.05, 60)


@pytest.mark.parametrize("name", ["mean answer", "slowest answer"])
def test_slow_answers_of_several_moments_are_told(name: str) -> None:
    """One slow moment is no evidence, neither for nor against."""
    means, slowest = ([300, 310], [900, 900]) if name == "mean answer" else ([5, 5], [3500, 3600])
    steps = [Counters(1000 + 100 * n, 0, means[n - 1], slowest[n - 1]) for n in (1, 2)]
    first = Counters(1000, 0, 5, 40)
    assert counted(first, steps[0])[name].verdict is Verdict.NO_EVIDENCE
    found = counted(first, *steps)
    assert {each for each, check in found.items() if check.verdict is Verdict.FAIL} == {name}


def test_a_mean_that_falls_is_of_slow_answers_from_before() -> None:
    """The proxy forgets slowly: for a minute after one slow moment it stays above the limit."""
    after = [Counters(1300 + 100 * n, 0, 440 - 40 * n, 900) for n in range(5)]
    found = counted(Counters(1000, 0, 5, 40), Counters(1200, 0, 450, 900), *after)["mean answer"]
    assert (found.verdict, found.value) == (Verdict.NO_EVIDENCE, 450)
    again = counted(
        Counters(1000, 0, 5, 40), Counters(1200, 0, 450, 900), *after, Counters(1800, 0, 290, 900)
    )
    assert again["mean answer"].verdict is Verdict.FAIL


def test_a_mean_that_stays_is_the_releases_own() -> None:
    """Slow from its first answer on."""
    found = counted(*(Counters(1000 + 100 * n, 0, 400, 900) for n in range(4)))["mean answer"]
    assert found.verdict is Verdict.FAIL


def test_the_slowest_answer_of_before_is_not_told_again() -> None:
    """The proxy remembers it until its next reload."""
    found = counted(*(Counters(1000 + 100 * n, 0, 5, 3500) for n in range(4)))["slowest answer"]
    assert (found.verdict, found.value) == (Verdict.PASS, 0)


def test_few_answers_are_no_evidence_of_their_times() -> None:
    """The first ones of a process are slow, and nine may be anything."""
    found = counted(*(Counters(1000 + 3 * n, 0, 300, 3500 + n) for n in range(4)))
    assert found["mean answer"].verdict is Verdict.NO_EVIDENCE
    assert found["slowest answer"].verdict is Verdict.NO_EVIDENCE


def test_an_old_error_leaves_the_window() -> None:
    """After a minute it is no longer among those that count."""
    counters = [Counters(1000 + 500 * n, min(n, 3) * 40, 5, 40) for n in range(17)]
    assert counted(*counters[:12])["error rate"].verdict is Verdict.FAIL
    assert counted(*counters)["error rate"].verdict is Verdict.PASS


def test_what_cannot_be_read_is_no_evidence() -> None:
    """The engine or Redis is away for a moment: the release is not taken out for that."""
    names = ("release", "counters", "restarts", "memory_share", "queue", "sends", "webhooks")
    nothing = dict.fromkeys(names)
    assert watched(Stack({}, nothing)) == []
    found = judged({}, nothing, nothing)
    assert {check.verdict for name, check in found.items() if name != "ready"} == {Verdict.NO_EVIDENCE}


def test_the_watch_ends_when_another_release_is_live() -> None:
    """Somebody deployed it, or rolled back: that is theirs to watch."""
    stack = Stack({}, {"release": "r-3", "ready_problem": "HTTP 503"})
    assert watched(stack) is None
    assert stack.observed == 2
