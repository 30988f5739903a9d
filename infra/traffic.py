"""Moves live traffic to a new release in steps, judging it by its own answers; straight back if it fails.

At each step the new release's share is a lease: whatever becomes of this process, the proxy itself ends it.
Only what stood all steps becomes the release that the route leads to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from contracts.targets import Rollout
from contracts.verdict import Check, Report, Verdict
from infra.binomial import SIGNIFICANCE, binomial_p_value
from infra.errors import Refused
from infra.haproxy_config import Backend
from infra.live_route import Canary, Move, live_config
from infra.proxy_control import MAX_RELOAD_S, Counters, RouteMoved

SUITE = "traffic"
POLL_INTERVAL_S = 0.25
CONTROL_PERCENT = 5
"""Of the requests, what the release before goes on answering at the last step, as the measure beside it."""

_ALL = 100
_BY_CHANCE = 3
"""So many requests may be missing by chance: where three are due, none comes once in twenty times."""


class Proxy(Protocol):
    """What moving traffic asks of `infra.proxy_control.ProxyControl`."""

    def put_route(self, name: str, config: str, lease_s: float = 0, after: Collection[str] = ()) -> None:
        """Make *config* the route *name*, if the live route's last move is one of *after*."""

    def counters(self, backend: str) -> Counters | None:
        """A backend's answers since the last change of a route; None where it does not tell them now."""

    def stop_requested(self) -> bool:
        """Whether somebody asked to give up."""


@dataclass(frozen=True)
class TrafficShifter:
    """Shifts the live traffic of *proxy*, after the *moves* that its route knows of, while no other comes.

    Whoever deploys may be killed and its CLI live on: a rollback is not to be undone by its next step.
    """

    proxy: Proxy
    limits: Rollout
    moves: tuple[Move, ...] = ()
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = field(default=time.sleep)

    def shift_at_once(self, to: Backend, move: Move | None = None) -> None:
        """All traffic goes to *to*; *move* is noted, unless it had it before."""
        self._put(live_config(to, (*self.moves, move) if move else self.moves), move)

    def shift_in_steps(self, old: Backend, new: Backend, move: Move) -> Report:
        """Move from *old* to *new*; what each step showed. Unless all is well, *old* has the traffic then.

        Raises:
            RouteMoved: somebody else moved the traffic; there it is.
            Refused: somebody asked to stop, or the proxy did not tell how the release does.
        """
        began, back = self.clock(), live_config(old, self.moves)
        checks: list[Check] = []
        baseline: Counters | None = None
        try:
            for percent in self.limits.steps:
                self._lease(percent, old, new, move)
                seen = self._observe("canary")
                baseline = self.proxy.counters("live") or baseline
                found = judge(percent, seen, baseline, self.limits)
                checks += found
                if any(self._stops(check) for check in found):
                    self._put(back, move)
                    break
            else:
                self.shift_at_once(new, move)
        except RouteMoved:
            raise
        except BaseException:  # told to end, too: a step is nothing to leave traffic at
            self._put(back, move)
            raise
        return Report.of(SUITE, checks, round(self.clock() - began, 3))

    def _lease(self, percent: int, old: Backend, new: Backend, move: Move) -> None:
        """Give *new* a share for as long as this step may take; a few requests measure *old* meanwhile."""
        canary = Canary(new, min(percent, _ALL - CONTROL_PERCENT))
        self._put(live_config(old, self.moves, canary), move, self.limits.within_s + MAX_RELOAD_S)

    def _put(self, config: str, move: Move | None, lease_s: float = 0) -> None:
        """Write the route, if the last move is still the one begun with; or *move*, our own."""
        ours = [each.id for each in (*self.moves[-1:], move) if each]
        self.proxy.put_route("live", config, lease_s, ours)

    def _stops(self, check: Check) -> bool:
        """Whether *check* ends the move."""
        if check.verdict is Verdict.NO_EVIDENCE:
            return self.limits.quiet == "refuse"
        return check.verdict is Verdict.FAIL

    def _observe(self, backend: str) -> Counters:
        """The answers of *backend* once they are enough, or cannot become so in time."""
        began = self.clock()
        while True:
            seen, passed_s = self.proxy.counters(backend), self.clock() - began
            if seen is None:  # not the same as no requests, of which `quiet` says what to do
                if passed_s >= self.limits.within_s:
                    raise Refused(
                        f"{SUITE}: for {passed_s:.0f} s the proxy told nothing of backend {backend!r}; "
                        "the release before has the traffic again"
                    )
            elif passed_s >= self.limits.step_s and not _worth_waiting(seen.requests, passed_s, self.limits):
                return seen
            if self.proxy.stop_requested():
                raise Refused(f"{SUITE}: asked to stop; the release before has the traffic again")
            self.sleep(POLL_INTERVAL_S)


def refusal(report: Report, release: str, limits: Rollout) -> list[str]:
    """The lines that say why *release* did not keep the traffic; none if it did."""
    stopping = [check for check in report.checks if check.verdict is Verdict.FAIL]
    if not stopping and limits.quiet == "refuse":
        stopping = report.not_passed
    if not stopping:
        return []
    return [
        f"{SUITE}: {release} did not keep the traffic ({stopping[0].verdict}); the one before has it again:",
        *(f"  {check}" for check in stopping),
    ]


def judge(percent: int, seen: Counters, baseline: Counters | None, limits: Rollout) -> list[Check]:
    """What the new release's answers at the step of *percent* amount to.

    *baseline*: those of the release before in the same seconds. What it suffers from as well is not held
    against the new one: both may lack Redis.
    """
    step = _Step(percent, seen, baseline if baseline and baseline.requests else None, limits)
    return [
        step.error_rate(),
        *([step.refused_share(step.baseline)] if step.baseline else []),
        step.time("mean answer", lambda counters: counters.mean_ms, limits.mean_ms),
        step.time("slowest answer", lambda counters: counters.slowest_ms, limits.slowest_ms),
    ]


@dataclass(frozen=True)
class _Step:
    percent: int
    seen: Counters
    baseline: Counters | None
    limits: Rollout

    def error_rate(self) -> Check:
        """5xx beyond the limit, and beyond what the release before answers meanwhile."""
        seen, limit = self.seen, self.limits.error_rate
        share = seen.errors / seen.requests if seen.requests else None
        if share is None or share <= limit:
            return self._check("error rate", share, limit)
        counted, usual_share = f"{seen.errors} of {seen.requests} answers are 5xx", 0.0
        if self.baseline:
            counted += f", {self.baseline.errors} of {self.baseline.requests} before"
            usual_share = self.baseline.errors / self.baseline.requests
        verdict = _unless_chance(seen.errors, seen.requests, max(limit, usual_share))
        return self._check("error rate", share, limit, verdict=verdict, detail=counted)

    def refused_share(self, usual: Counters) -> Check:
        """Whether the new release refuses what the one before takes, such as webhooks signed with its secret.

        Strangers are refused by both: only what it refuses beyond that is its own doing.
        """
        seen, limit, name = self.seen, self.limits.refused_share, "refused beyond the live release"
        share = seen.refused / seen.requests if seen.requests else None
        beyond = None if share is None else max(0.0, share - usual.refused / usual.requests)
        if beyond is None or beyond <= limit:
            return self._check(name, beyond, limit)
        counted = f"{seen.refused} of {seen.requests} answers are 4xx"
        counted += f", {usual.refused} of {usual.requests} before"
        # The share that the release before would refuse of any number is not known from few: hence one more.
        verdict = _unless_chance(seen.refused, seen.requests, (usual.refused + 1) / (usual.requests + 2))
        return self._check(name, beyond, limit, verdict=verdict, detail=counted)

    def time(self, name: str, time_ms: Callable[[Counters], float], limit_ms: float) -> Check:
        """A time of the answers, unless the release before breaks the limit as well; few may be chance."""
        value_ms = time_ms(self.seen)
        usual_ms = time_ms(self.baseline) if self.baseline else 0.0
        enough = self.seen.requests >= self.limits.min_samples
        if value_ms <= limit_ms or not enough:
            return self._check(name, value_ms, limit_ms, "ms")
        if usual_ms > limit_ms:
            detail = f"the release before takes {usual_ms:g} ms"
            return self._check(name, value_ms, limit_ms, "ms", verdict=Verdict.NO_EVIDENCE, detail=detail)
        return self._check(name, value_ms, limit_ms, "ms", verdict=Verdict.FAIL)

    def _check(
        self,
        name: str,
        value: float | None,
        limit: float,
        unit: str = "",
        *,
        verdict: Verdict | None = None,
        detail: str = "",
    ) -> Check:
        """The check; without a *verdict* it passes, if there were requests enough to say so."""
        few = self.seen.requests < self.limits.min_samples
        verdict = verdict or (Verdict.NO_EVIDENCE if few else Verdict.PASS)
        if few and not detail:
            detail = f"few requests came: fewer than {self.limits.min_samples}"
        return Check(
            name=f"{name} at {self.percent} %",
            verdict=verdict,
            value=value if self.seen.requests else None,
            limit=limit,
            unit=unit,
            samples=self.seen.requests,
            detail=detail,
        )


def _unless_chance(hits: int, trials: int, share: float) -> Verdict:
    """A failure, if so many *hits* cannot be chance where a *share* of all is one."""
    is_chance = share >= 1 or binomial_p_value(hits, trials, share) >= SIGNIFICANCE
    return Verdict.NO_EVIDENCE if is_chance else Verdict.FAIL


def _worth_waiting(requests: int, passed_s: float, limits: Rollout) -> bool:
    """Whether enough requests can still come: too few did, and at their pace there may be in time."""
    missing, left_s = limits.min_samples - requests, limits.within_s - passed_s
    return missing > 0 and left_s > 0 and (requests + _BY_CHANCE) / passed_s * left_s >= missing
