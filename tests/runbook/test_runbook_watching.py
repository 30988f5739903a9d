"""A release that is live is judged look by look; it takes two that find something wrong in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contracts.targets import read_targets
from contracts.verdict import Check, Verdict
from infra.proxy_control import Counters
from runbook.watching import Limits, Look, Watching, watch

TARGETS = read_targets()
LIMITS = Limits(
    TARGETS.watch.model_copy(update={"failures": 2, "each_s": 5, "window_s": 60, "dead_letters": 3}),
    TARGETS.switch.model_copy(update={"min_samples": 50, "error_rate": 0.01, "mean_ms": 250}),
)
WELL = Look(
    at_s=0.0,
    release="r-2",
    counters=Counters(1000, 0, 5, 40),
    ready_problem=None,
    restarts=0,
    memory_share=0.4,
    dead=7,
    queue_age_s=0.0,
)


class Stack:
    """Looks at a stack that each look finds as the next of *seen* says; time passes by sleeping."""

    def __init__(self, *seen: dict[str, Any]) -> None:
        self._seen = iter(seen)
        self._last: dict[str, Any] = {}
        self.now = 100.0
        self.looks = 0

    def __call__(self) -> Look:
        self._last = next(self._seen, self._last)
        self.looks += 1
        counters = Counters(1000 + 100 * self.looks, 0, 5, 40)
        return replace(WELL, **{"at_s": self.now, "counters": counters, **self._last})

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watched(stack: Stack, for_s: float = 60) -> list[Check] | None:
    """What the watch of *stack* found."""
    return watch(Watching("r-2", LIMITS), stack, for_s, lambda: stack.now, stack.sleep)


def test_a_release_that_does_well_is_watched_to_the_end() -> None:
    """A look each five seconds, and one at the end."""
    stack = Stack({})
    assert watched(stack) == []
    assert stack.looks == 13
    assert stack.now == 160


WRONG: dict[str, dict[str, Any]] = {
    "ready": {"ready_problem": "HTTP 503"},
    "restarts": {"restarts": 1},
    "memory": {"memory_share": 0.9},
    "dead letters": {"dead": 11},
    "oldest message": {"queue_age_s": 61.0},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_two_looks_find_wrong_is_told(name: str) -> None:
    """By the check meant for it, and no other."""
    stack = Stack({}, WRONG[name])
    failing = watched(stack)
    assert failing is not None
    assert [check.name for check in failing] == [name]
    assert stack.looks == 3


@pytest.mark.parametrize("name", ["ready", "memory", "oldest message"])
def test_what_one_look_finds_wrong_may_be_noise(name: str) -> None:
    """It is well again at the next: the release stays."""
    assert watched(Stack({}, WRONG[name], {}, WRONG[name], {})) == []


def test_what_was_wrong_before_the_watch_is_not_the_releases_doing() -> None:
    """Dead letters and restarts are counted from the first look."""
    assert watched(Stack({"dead": 500, "restarts": 3}, {"dead": 503, "restarts": 3})) == []


def answers(*counters: Counters | None) -> Callable[[], Stack]:
    """A stack whose proxy counted so."""
    return lambda: Stack(*({"counters": each} for each in counters))


def test_errors_are_judged_over_the_window() -> None:
    """From the looks' differences: 2 of 60 answers are more than one per cent."""
    failing = watched(answers(Counters(1000, 40, 5, 40), Counters(1060, 42, 5, 40))())
    assert failing is not None
    assert str(failing[0]) == "error rate: fail: 0.0333333, limit 0.01, samples 60"


def test_few_answers_are_no_evidence() -> None:
    """One error of nine may be anything."""
    assert watched(answers(Counters(1000, 0, 5, 40), Counters(1009, 1, 5, 40))(), for_s=20) == []


def quiet(errors: int, answers: int) -> Check:
    """What is said of errors in the watch's first minute, when the last answer comes minutes later."""
    watching = Watching("r-2", LIMITS)
    first, then, last = Counters(1000, 0, 5, 40), Counters(1000 + errors, errors, 5, 40), answers + 1000
    seen = {0: first, 50: then, 300: replace(then, requests=last), 305: replace(then, requests=last)}
    for at_s, counters in seen.items():
        watching.take(replace(WELL, at_s=float(at_s), counters=counters))
    return watching.judge()[0]


@pytest.mark.parametrize(("errors", "answers"), [(2, 2), (2, 5), (3, 9), (4, 30)])
def test_errors_that_are_no_chance_need_few_answers(errors: int, answers: int) -> None:
    """A stack with a webhook now and then has a bad release taken out too; all of the watch counts."""
    found = quiet(errors, answers)
    assert (found.name, found.verdict, found.samples) == ("error rate", Verdict.FAIL, answers)


@pytest.mark.parametrize(("errors", "answers"), [(0, 0), (0, 30), (1, 1), (1, 30), (2, 9), (3, 30)])
def test_errors_that_may_be_chance_are_no_evidence(errors: int, answers: int) -> None:
    """Neither does a release without them pass for so few answers."""
    found = quiet(errors, answers)
    assert (found.verdict, found.samples) == (Verdict.NO_EVIDENCE, answers)


def test_a_reload_of_the_proxy_begins_to_count_anew() -> None:
    """All that the new process counted is new."""
    failing = watched(answers(Counters(1000, 0, 5, 40), Counters(60, 3, 5, 40))())
    assert failing is not None
    assert (failing[0].value, failing[0].samples) == (0.05, 60)


def test_what_the_proxy_did_not_tell_is_in_its_next_answer() -> None:
    """Neither are errors of before the watch counted again, nor those missed that came meanwhile."""
    before, later = Counters(1000, 40, 5, 3500), Counters(1100, 40, 5, 3500)
    assert watched(answers(before, None, later)(), for_s=20) == []
    failing = watched(answers(before, None, Counters(1060, 43, 5, 3500))())
    assert failing is not None
    assert (failing[0].value, failing[0].samples) == (0.05, 60)


@pytest.mark.parametrize(
    ("counters", "name"),
    [(Counters(2000, 0, 300, 900), "mean answer"), (Counters(2000, 0, 5, 3500), "slowest answer")],
)
def test_slow_answers_are_told(counters: Counters, name: str) -> None:
    """Their mean, and the slowest since the last look."""
    failing = watched(answers(Counters(1000, 0, 5, 40), counters)())
    assert failing is not None
    assert [check.name for check in failing] == [name]


def test_the_slowest_answer_of_before_is_not_told_again() -> None:
    """The proxy remembers it until its next reload."""
    assert watched(answers(Counters(1000, 0, 5, 3500), Counters(2000, 0, 5, 3500))(), for_s=20) == []


def test_an_old_error_leaves_the_window() -> None:
    """After a minute it is no longer among those that count."""
    watching = Watching("r-2", LIMITS)
    for at_s, errors in ((0, 0), (5, 30), (70, 30), (75, 30)):
        counters = Counters(1000 + 100 * int(at_s), errors, 5, 40)
        watching.take(replace(WELL, at_s=float(at_s), counters=counters))
    assert watching.judge()[0].verdict is Verdict.PASS


def test_what_cannot_be_read_is_no_evidence() -> None:
    """The engine or Redis is away for a moment: the release is not taken out for that."""
    nothing = {"counters": None, "restarts": None, "memory_share": None, "dead": None, "queue_age_s": None}
    assert watched(Stack({}, {**nothing, "release": None})) == []


def test_the_watch_ends_when_another_release_is_live() -> None:
    """Somebody deployed it, or rolled back: that is theirs to watch."""
    stack = Stack({}, {"release": "r-3", "ready_problem": "HTTP 503"})
    assert watched(stack) is None
    assert stack.looks == 2
