"""Judges the release that is live, one observation after the other: the release, not the world around it.

What another release would suffer from as well is never held against this one: Redis or WAHA that cannot be
reached, a backlog from before, one message that cannot be sent. What is judged is how it answers, whether its
containers live, whether its workers take messages, and whether these are answered: not one that WAHA refuses,
that ends in an error of the release's own, or that gets no reply though all that it needs is there. Nor may
it refuse all that WAHA signs.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import NamedTuple

from contracts.targets import Rollout, Watch
from contracts.verdict import Check, Verdict
from infra.binomial import SIGNIFICANCE, binomial_p_value
from infra.proxy_control import Counters

REFUSED_WEBHOOKS = "refused webhooks"
MIN_WRONG = 3
"""Fewer messages than these may all be of one customer whom WAHA cannot reach."""

MAX_WRONG_SHARE = 0.5
"""The limit where nothing tells what share is usual: with a wrong key WAHA refuses all."""

QUIET_SHARE = 0.25
"""Of the usual pace of webhooks: in a quiet hour so many come at least."""

_NONE = Counters(0, 0, 0, 0)


@dataclass(frozen=True)
class Sends:
    """Messages by what came of the first attempt at each (`service/messages/first_sends.py`).

    `replied`: those that have a reply, by whichever attempt.
    """

    sent: int = 0
    refused: int = 0
    unavailable: int = 0
    unanswered: int = 0
    failed: int = 0
    replied: int = 0

    @property
    def answered(self) -> int:
        """Those to which WAHA said something about the request itself."""
        return self.sent + self.refused

    @property
    def attempted(self) -> int:
        """All of them."""
        return self.answered + self.unavailable + self.unanswered + self.failed


@dataclass(frozen=True)
class Webhooks:
    """Live webhooks that were `taken`, and those with a signature that were `refused` for it or their form.

    `full`: those refused because Redis has no memory for more messages, or as many wait as may wait.
    Strangers who sign nothing, and who sends too much or too late, are no part of it.
    """

    taken: int = 0
    refused: int = 0
    full: int = 0


@dataclass(frozen=True)
class Queue:
    """The live lane's stream: the last entry that a worker took, and the oldest that none has (epoch ms)."""

    last_taken: str
    oldest_waiting_ms: int | None


@dataclass(frozen=True)
class Observation:
    """What was seen of a stack at one moment; None is what could not be read.

    `counters` are of the live backend since the proxy's last reload. `ready_problem` says what the public
    frontend answered instead of being ready, `redis_away` whether Redis cannot be reached,
    `dependencies_up` whether its health report says that all it needs for a reply is there. `restarts`
    (of the live release's containers in all), `memory_share` (the fullest one's), `sends` and
    `webhooks` are the live release's.
    """

    at_s: float
    release: str | None = None
    counters: Counters | None = None
    ready_problem: str | None = None
    redis_away: bool = False
    dependencies_up: bool = False
    restarts: int | None = None
    memory_share: float | None = None
    queue: Queue | None = None
    sends: Sends | None = None
    webhooks: Webhooks | None = None


@dataclass(frozen=True)
class Limits:
    """What a release that is live is held to.

    `usual`, `usual_webhooks`: how the releases before it fared, in `usual_s`; 0 where that is not known.
    """

    watch: Watch
    rollout: Rollout
    usual: Sends = Sends()
    usual_webhooks: Webhooks = Webhooks()
    usual_s: float = 0.0


@dataclass
class Monitor:
    """Judges *release*; the first of `observations` is what it began with."""

    release: str
    limits: Limits
    observations: list[Observation] = field(default_factory=list)
    failed_in_a_row: int = 0

    def add(self, observation: Observation) -> list[Check]:
        """What is wrong now; empty unless the last observations all found something wrong."""
        self.observations.append(observation)
        failing = [check for check in self.judge() if check.verdict is Verdict.FAIL]
        self.failed_in_a_row = self.failed_in_a_row + 1 if failing else 0
        return failing if self.failed_in_a_row >= self.limits.watch.failures else []

    def judge(self) -> list[Check]:
        """The checks as of the last observation."""
        last, watch = self.observations[-1], self.limits.watch
        restarts = [each.restarts for each in self.observations if each.restarts is not None]
        # What the release did before it could first be asked, last week for example, is not judged.
        first_sends = next((each.sends for each in self.observations if each.sends is not None), None)
        return [
            *answers_checks(self.observations, self._window_start_s(), self.limits.rollout),
            self._ready(last),
            _grown("restarts", next(iter(restarts), None), last.restarts, 0),
            _below("memory", last.memory_share, watch.memory_share),
            self._taking(last),
            refused_sends(first_sends, last.sends, self.limits.usual),
            failed_messages(first_sends, last.sends, self.limits.usual),
            unanswered_messages(self.observations, self.limits.usual, watch.queue_stuck_s),
            refused_webhooks(self.observations, self.limits),
        ]

    def _ready(self, last: Observation) -> Check:
        if last.counters is None:
            return _check("ready", "the proxy cannot be asked", "yes", ok=None)
        if last.ready_problem and last.redis_away:
            return _check("ready", "Redis cannot be reached", "yes", ok=None)
        return _check("ready", last.ready_problem or "yes", "yes", ok=last.ready_problem is None)

    def _taking(self, last: Observation) -> Check:
        """For how long no worker has taken a message although some wait: however many, it is their doing."""
        limit_s, queue = self.limits.watch.queue_stuck_s, last.queue
        if queue is None:
            return _check("queue stands still", None, limit_s, ok=None, unit="s")
        if queue.oldest_waiting_ms is None:
            return _check("queue stands still", 0, limit_s, ok=True, unit="s")
        still = itertools.takewhile(
            lambda each: each.queue is not None and _stands(each.queue, queue), reversed(self.observations)
        )
        still_s = last.at_s - [each.at_s for each in still][-1]
        return _check("queue stands still", round(still_s, 1), limit_s, ok=still_s <= limit_s, unit="s")

    def _window_start_s(self) -> float:
        """When the observation was made with which the seconds begin that the answers are judged over."""
        start_s = self.observations[-1].at_s - self.limits.watch.window_s
        return max((each.at_s for each in self.observations if each.at_s <= start_s), default=-math.inf)


def answers_checks(observations: Sequence[Observation], start_s: float, limits: Rollout) -> list[Check]:
    """Error rate, mean and slowest of the answers between the *observations* made from *start_s* on.

    Where few came since, the errors are judged over all of them. What happened between two of them
    only may be the world's doing.
    """
    steps = list(_between(observations, start_s))
    answers = sum(step.requests for step in steps)
    enough = answers >= limits.min_samples
    errors = _error_rate(steps if enough else list(_between(observations)), limits, enough=enough)
    # The proxy's mean forgets slowly: while it falls, the slow answers are from before.
    means_ms = [step.mean_ms for step in steps if step.requests]
    rising_ms = [now for before, now in itertools.pairwise([0.0, *means_ms]) if now >= before]
    return [
        errors,
        _time("mean answer", rising_ms, limits.mean_ms, answers, limits),
        _time("slowest answer", [step.slowest_ms for step in steps], limits.slowest_ms, answers, limits),
    ]


def refused_sends(first: Sends | None, last: Sends | None, usual: Sends) -> Check:
    """Whether WAHA refuses more of what this release sends than it did of those before: a wrong key, say."""
    said = "WAHA refused {} of {} messages"
    return _share("refused sends", said, (first, last, usual), lambda sends: (sends.refused, sends.answered))


def failed_messages(first: Sends | None, last: Sends | None, usual: Sends) -> Check:
    """Whether more messages end in an error of the release's own than of those before."""
    said = "an error of the release ended {} of {} messages"
    return _share(
        "failed messages", said, (first, last, usual), lambda sends: (sends.failed, sends.attempted)
    )


def unanswered_messages(observations: Sequence[Observation], usual: Sends, limit_s: float) -> Check:
    """For how long messages were tried and nobody got a reply, although all that a reply needs was there.

    One reply shows that the release can: what goes wrong then may be the world's doing, as it is where the
    releases before it never got a reply out either.
    """
    known = [(each, each.sends) for each in observations if each.sends is not None]
    steps = []
    for (before, sends_before), (now, sends_now) in itertools.pairwise(known):
        grown, is_up = _since(sends_before, sends_now), before.dependencies_up and now.dependencies_up
        steps.append(_Step(now.at_s, grown.unanswered if is_up else 0, grown.replied))
    is_usual = usual.unanswered > 0 and not usual.replied
    said = "none got a reply in {} attempts, though all that it needs is there"
    return _in_vain("unanswered messages", said, steps, limit_s, is_usual=is_usual)


def refused_webhooks(observations: Sequence[Observation], limits: Limits) -> Check:
    """For how long webhooks with a signature came and not one was taken: another secret than WAHA's, say.

    Strangers may try signatures, too. Theirs do not count where chance makes as many of the usual share,
    nor while WAHA may have sent nothing: webhooks were due once even a quiet hour would have brought some,
    and no more than were refused. Where the usual pace is not known none was due: nobody outside may be
    able to take a good release out. Only one who tries as many signatures as WAHA else sends webhooks, while
    it sends none, is not told from it.
    """
    known = [(each.at_s, each.webhooks) for each in observations if each.webhooks is not None]
    steps = [
        _Step(at_s, now.refused - before.refused, now.taken - before.taken)
        for (_, before), (at_s, now) in itertools.pairwise(known)
    ]
    refused, usual = sum(step.wrong for step in steps), limits.usual_webhooks
    pace_per_s = usual.taken / limits.usual_s if limits.usual_s > 0 else 0.0
    due = QUIET_SHARE * pace_per_s * (known[-1][0] - known[0][0]) if known else 0.0
    none_is_chance = math.exp(-due) >= SIGNIFICANCE
    is_due = not none_is_chance and refused >= due
    share = (usual.refused + 1) / (usual.taken + usual.refused + 2)
    is_usual = not is_due or binomial_p_value(refused, refused, share) >= SIGNIFICANCE
    said = "{} with a signature were refused, and none was taken"
    return _in_vain(REFUSED_WEBHOOKS, said, steps, limits.watch.queue_stuck_s, is_usual=is_usual)


class _Step(NamedTuple):
    """How many more went `wrong` or `well` than at the observation before."""

    at_s: float
    wrong: int
    well: int


def _in_vain(name: str, said: str, steps: Sequence[_Step], limit_s: float, *, is_usual: bool) -> Check:
    """For how long some went wrong and none well: a single moment's, or a few, are no evidence."""
    some_well = any(step.well > 0 for step in steps)
    wrong = [step for step in steps if step.wrong > 0]
    count = sum(step.wrong for step in wrong)
    for_s = wrong[-1].at_s - wrong[0].at_s if wrong and not some_well else 0.0
    is_bad = count >= MIN_WRONG and for_s >= limit_s and not is_usual
    return Check(
        name=name,
        verdict=Verdict.FAIL if is_bad else Verdict.PASS if some_well else Verdict.NO_EVIDENCE,
        value=round(for_s, 1) if steps else None,
        limit=limit_s,
        unit="s",
        samples=count,
        detail=said.format(count) if is_bad else "",
    )


def _share(
    name: str,
    said: str,
    sends: tuple[Sends | None, Sends | None, Sends],
    counted: Callable[[Sends], tuple[int, int]],
) -> Check:
    """Whether a larger share went wrong of those *counted* than usual; *sends*: first, last, usual."""
    first, last, usual = sends
    usually_wrong, usually = counted(usual)
    limit = usually_wrong / usually if usually else MAX_WRONG_SHARE
    if first is None or last is None:
        return _check(name, None, round(limit, 4), ok=None)
    wrong, tried = counted(_since(first, last))
    share = wrong / tried if tried else 0.0
    # What share was usual is not known exactly: hence one more.
    p_value = binomial_p_value(wrong, tried, (usually_wrong + 1) / (usually + 2))
    is_bad = wrong >= MIN_WRONG and share > limit and (not usually or p_value < SIGNIFICANCE)
    verdict = Verdict.FAIL if is_bad else Verdict.PASS if tried > wrong else Verdict.NO_EVIDENCE
    return Check(
        name=name,
        verdict=verdict,
        value=round(share, 4) if tried else None,
        limit=round(limit, 4),
        samples=tried,
        detail=said.format(wrong, tried) if wrong else "",
    )


def _since(first: Sends, last: Sends) -> Sends:
    """What came between the two."""
    return Sends(*(now - before for now, before in zip(astuple(last), astuple(first), strict=True)))


def watch(
    monitor: Monitor,
    observe: Callable[[], Observation],
    for_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Check] | None:
    """Observe the release until the time is up: what was wrong with it; None if another is live now."""
    end_s = clock() + for_s
    while True:
        seen = observe()
        if seen.release is not None and seen.release != monitor.release:
            return None
        if failing := monitor.add(seen):
            return failing
        left_s = end_s - clock()
        if left_s <= 0:
            return []
        sleep(min(monitor.limits.watch.each_s, left_s))


def _between(observations: Sequence[Observation], start_s: float = -math.inf) -> Iterator[Counters]:
    """What each observation saw more than the one before it, made from *start_s* on; after a reload, all.

    Those to which the proxy told nothing are passed over: what came meanwhile is in the next one. What came
    while Redis could not be reached is left out, and so are errors as many as were refused because Redis or
    the queue was full; all, where it had been and nobody tells how many.
    """
    known = [each for each in observations if each.counters is not None]
    full = _full(known)
    for number, (before, now) in enumerate(itertools.pairwise(known)):
        if before.redis_away or now.redis_away or before.counters is None or now.counters is None:
            continue
        if before.at_s < start_s or (full[-1] and now.webhooks is None):
            continue
        since = _NONE if now.counters.requests < before.counters.requests else before.counters
        grown = now.counters.slowest_ms if now.counters.slowest_ms > since.slowest_ms else 0
        answers, errors = now.counters.requests - since.requests, now.counters.errors - since.errors
        # A look asks the processes after the proxy: what they counted meanwhile is in this step's errors.
        excused = min(errors, full[number + 1] - full[max(0, number - 1)])
        yield Counters(answers - excused, errors - excused, now.counters.mean_ms, grown)


def _full(observations: Sequence[Observation]) -> list[int]:
    """At each, how many webhooks were refused since the first because Redis or the queue was full."""
    found, last = [0], None
    for each in observations:
        now = last if each.webhooks is None else each.webhooks.full
        # It falls where a process was started again.
        found.append(found[-1] + (0 if now is None or last is None else max(0, now - last)))
        last = now
    return found[1:]


def _error_rate(steps: Sequence[Counters], limits: Rollout, *, enough: bool) -> Check:
    """Few answers can show that a release is bad, never that it is good; nor can a single moment."""
    answers, errors = sum(step.requests for step in steps), sum(step.errors for step in steps)
    is_over = answers > 0 and errors / answers > limits.error_rate
    is_more_than_once = sum(step.errors > 0 for step in steps) > 1
    is_chance = not is_over or binomial_p_value(errors, answers, limits.error_rate) >= SIGNIFICANCE
    is_bad = is_over and is_more_than_once and not is_chance
    passed = Verdict.PASS if enough and not is_over else Verdict.NO_EVIDENCE
    return Check(
        name="error rate",
        verdict=Verdict.FAIL if is_bad else passed,
        value=errors / answers if answers else None,
        limit=limits.error_rate,
        samples=answers,
    )


def _time(name: str, times_ms: Sequence[float], limit_ms: float, answers: int, limits: Rollout) -> Check:
    over = sum(time_ms > limit_ms for time_ms in times_ms)
    verdict = Verdict.FAIL if over > 1 else Verdict.NO_EVIDENCE if over else Verdict.PASS
    return Check(
        name=name,
        verdict=verdict if answers >= limits.min_samples else Verdict.NO_EVIDENCE,
        value=max(times_ms, default=None) if answers else None,
        limit=limit_ms,
        unit="ms",
        samples=answers,
    )


def _stands(earlier: Queue, now: Queue) -> bool:
    return earlier.last_taken == now.last_taken and earlier.oldest_waiting_ms is not None


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
