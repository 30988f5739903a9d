"""Watches the release that is live: by the proxy's counters, its containers, its queue, its readiness.

What the release depends on is not judged here: another release would not bring a database back.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from contracts.targets import Switch, Watch
from contracts.verdict import Check, Verdict
from infra.chance import RARE, chance_of
from infra.proxy_control import Counters

_NOTHING = Counters(0, 0, 0, 0)


@dataclass(frozen=True)
class Look:
    """What was seen of a stack at one moment.

    `counters` are of the live backend since the proxy's last reload. `ready_problem` says what the public
    frontend answered instead of being ready. `restarts` (of the live release's containers in all),
    `memory_share` (the fullest one's), `dead` letters and `queue_age_s` of the live lane are None where they
    could not be read.
    """

    at_s: float
    release: str | None
    counters: Counters | None
    ready_problem: str | None
    restarts: int | None
    memory_share: float | None
    dead: int | None
    queue_age_s: float | None


@dataclass(frozen=True)
class Limits:
    """What a release that is live is held to."""

    watch: Watch
    switch: Switch


@dataclass
class Watching:
    """Judges one look after the other; `began` is the first of *release*."""

    release: str
    limits: Limits
    looks: list[Look] = field(default_factory=list)
    failed_in_a_row: int = 0

    def take(self, look: Look) -> list[Check]:
        """What is wrong now; empty unless the last looks all found something wrong."""
        self.looks.append(look)
        failing = [check for check in self.judge() if check.verdict is Verdict.FAIL]
        self.failed_in_a_row = self.failed_in_a_row + 1 if failing else 0
        return failing if self.failed_in_a_row >= self.limits.watch.failures else []

    def judge(self) -> list[Check]:
        """The checks as of the last look."""
        first, last, watch = self.looks[0], self.looks[-1], self.limits.watch
        return [
            *answers_checks(self._window(), self.looks, self.limits.switch),
            _check("ready", last.ready_problem or "yes", "yes", ok=last.ready_problem is None),
            _grown("restarts", first.restarts, last.restarts, 0),
            _below("memory", last.memory_share, watch.memory_share),
            _grown("dead letters", first.dead, last.dead, watch.dead_letters),
            _below("oldest message", last.queue_age_s, watch.queue_age_s, "s"),
        ]

    def _window(self) -> list[Look]:
        """The looks of the last seconds that the answers are judged over, and the one before them."""
        start_s = self.looks[-1].at_s - self.limits.watch.window_s
        begin = max((i for i, look in enumerate(self.looks) if look.at_s <= start_s), default=0)
        return self.looks[begin:]


def answers_checks(window: Sequence[Look], looks: Sequence[Look], limits: Switch) -> list[Check]:
    """Error rate, mean and slowest of the answers between the first and the last look of the *window*.

    Where few came in it, the errors are judged over all *looks*.
    """
    steps = list(_between(window))
    answers, errors = _total(steps)
    mean_ms = steps[-1].mean_ms if answers else None
    slowest_ms = max((step.slowest_ms for step in steps), default=0.0) if answers else None
    if answers < limits.min_samples:
        error_rate = _few_answers(*_total(_between(looks)), limits)
    else:
        error_rate = _answers("error rate", errors / answers, limits.error_rate, "", answers, limits)
    return [
        error_rate,
        _answers("mean answer", mean_ms, limits.mean_ms, "ms", answers, limits),
        _answers("slowest answer", slowest_ms, limits.slowest_ms, "ms", answers, limits),
    ]


def _total(steps: Iterable[Counters]) -> tuple[int, int]:
    """All answers, and the errors among them."""
    counted = [(step.requests, step.errors) for step in steps]
    return sum(answers for answers, _ in counted), sum(errors for _, errors in counted)


def _few_answers(answers: int, errors: int, limits: Switch) -> Check:
    """The error rate of a quiet stack: few answers can show that a release is bad, never that it is good."""
    is_bad = chance_of(errors, answers, limits.error_rate) < RARE
    return Check(
        name="error rate",
        verdict=Verdict.FAIL if is_bad else Verdict.NO_EVIDENCE,
        value=errors / answers if answers else None,
        limit=limits.error_rate,
        samples=answers,
    )


def _between(looks: Sequence[Look]) -> Iterator[Counters]:
    """What each look saw more than the one before it; after a reload, all that it saw.

    Looks to which the proxy told nothing are passed over: what came meanwhile is in the next one.
    """
    known = [look.counters for look in looks if look.counters is not None]
    for before, now in itertools.pairwise(known):
        since = _NOTHING if now.requests < before.requests else before
        slowest_ms = now.slowest_ms if now.slowest_ms > since.slowest_ms else 0
        yield Counters(now.requests - since.requests, now.errors - since.errors, now.mean_ms, slowest_ms)


def watch(
    watching: Watching,
    look: Callable[[], Look],
    for_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Check] | None:
    """Look at the release until the time is up: what was wrong with it; None if another is live now."""
    end_s = clock() + for_s
    while True:
        seen = look()
        if seen.release is not None and seen.release != watching.release:
            return None
        if failing := watching.take(seen):
            return failing
        left_s = end_s - clock()
        if left_s <= 0:
            return []
        sleep(min(watching.limits.watch.each_s, left_s))


def _answers(name: str, value: float | None, limit: float, unit: str, samples: int, limits: Switch) -> Check:
    if samples < limits.min_samples:
        verdict = Verdict.NO_EVIDENCE
    else:
        verdict = Verdict.FAIL if value is not None and value > limit else Verdict.PASS
    return Check(name=name, verdict=verdict, value=value, limit=limit, unit=unit, samples=samples)


def _check(
    name: str, value: float | str | None, limit: float | str, *, ok: bool | None, unit: str = ""
) -> Check:
    verdict = Verdict.NO_EVIDENCE if ok is None else Verdict.PASS if ok else Verdict.FAIL
    samples = 0 if ok is None else 1
    return Check(name=name, verdict=verdict, value=value, limit=limit, unit=unit, samples=samples)


def _grown(name: str, first: int | None, last: int | None, limit: int) -> Check:
    grown = None if first is None or last is None else last - first
    return _check(name, grown, limit, ok=None if grown is None else grown <= limit)


def _below(name: str, value: float | None, limit: float, unit: str = "") -> Check:
    shown = None if value is None else round(value, 3)
    return _check(name, shown, limit, ok=None if value is None else value <= limit, unit=unit)
