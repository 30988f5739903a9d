"""Moves live traffic to a new release in steps, judging it by its own answers; straight back if it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from contracts.targets import Switch
from contracts.verdict import Check, Report, Verdict
from infra.chance import RARE, chance_of
from infra.errors import Refused
from infra.haproxy_config import Backend, Canary, route_config
from infra.proxy_control import Counters

SUITE = "traffic"
_LOOK_EACH_S = 0.25
_ALL = 100
_BY_CHANCE = 3
"""So many requests may be missing by chance: where three are due, none comes once in twenty times."""


class Proxy(Protocol):
    """What moving traffic asks of `infra.proxy_control.ProxyControl`."""

    def put_route(self, name: str, config: str) -> None:
        """Make *config* the route *name*."""

    def counters(self, backend: str) -> Counters | None:
        """A backend's answers since the last change of a route; None where it does not tell them now."""


@dataclass(frozen=True)
class Mover:
    """Moves the live route of *proxy*. *name_live* tells the workers whose release is live."""

    proxy: Proxy
    name_live: Callable[[str], None]
    limits: Switch
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = field(default=time.sleep)

    def at_once(self, to: Backend) -> None:
        """All traffic goes to *to*."""
        self.proxy.put_route("live", route_config("live", to))
        self.name_live(to.release)

    def in_steps(self, old: Backend, new: Backend) -> Report:
        """Move from *old* to *new*; what each step showed. Unless all is well, *old* has the traffic then.

        Raises:
            Refused: the proxy did not tell how the release does, so that nothing can be said for it.
        """
        began = self.clock()
        checks: list[Check] = []
        beside: Counters | None = None
        try:
            for percent in self.limits.steps:
                self._put(percent, old, new)
                seen = self._watch("live" if percent == _ALL else "canary")
                if percent != _ALL:
                    beside = self.proxy.counters("live") or beside
                found = judge(percent, seen, beside, self.limits)
                checks += found
                if any(self._stops(check) for check in found):
                    self.at_once(old)
                    break
        except BaseException:  # told to end, too: a step is nothing to leave traffic at
            self.at_once(old)
            raise
        return Report.of(SUITE, checks, round(self.clock() - began, 3))

    def _put(self, percent: int, old: Backend, new: Backend) -> None:
        if percent == _ALL:
            self.at_once(new)
        else:
            self.proxy.put_route("live", route_config("live", old, Canary(new, percent)))

    def _stops(self, check: Check) -> bool:
        """Whether *check* ends the move."""
        if check.verdict is Verdict.NO_EVIDENCE:
            return self.limits.quiet == "refuse"
        return check.verdict is Verdict.FAIL

    def _watch(self, backend: str) -> Counters:
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
            self.sleep(_LOOK_EACH_S)


def refusal(report: Report, release: str, limits: Switch) -> list[str]:
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


def judge(percent: int, seen: Counters, beside: Counters | None, limits: Switch) -> list[Check]:
    """What the new release's answers at the step of *percent* amount to.

    *beside*: those of the release before at the last step that both had traffic at; None if there was none.
    """
    share = seen.errors / seen.requests if seen.requests else None
    return [
        _check(percent, "error rate", share, limits.error_rate, "", seen, limits),
        *([_refused(percent, seen, beside, limits)] if beside else []),
        _check(percent, "mean answer", seen.mean_ms, limits.mean_ms, "ms", seen, limits),
        _check(percent, "slowest answer", seen.slowest_ms, limits.slowest_ms, "ms", seen, limits),
    ]


def _refused(percent: int, seen: Counters, beside: Counters, limits: Switch) -> Check:
    """Whether the new release refuses what the one before takes, such as webhooks signed with its secret.

    Strangers are refused by both: only what it refuses beyond that is its own doing.
    """
    usual = beside.refused / beside.requests if beside.requests else 0.0
    beyond = max(0.0, seen.refused / seen.requests - usual) if seen.requests else None
    check = _check(percent, "refused beyond the live release", beyond, limits.refused_share, "", seen, limits)
    if check.verdict is not Verdict.FAIL:
        return check
    # The share that the release before would refuse of any number is not known from few: hence one more.
    chance = chance_of(seen.refused, seen.requests, (beside.refused + 1) / (beside.requests + 2))
    counted = (
        f"{seen.refused} of {seen.requests} answers are 4xx, {beside.refused} of {beside.requests} before"
    )
    verdict = Verdict.FAIL if chance < RARE else Verdict.NO_EVIDENCE
    return check.model_copy(update={"verdict": verdict, "detail": counted})


def _check(
    percent: int, name: str, value: float | None, limit: float, unit: str, seen: Counters, limits: Switch
) -> Check:
    enough = seen.requests >= limits.min_samples
    failed = value is not None and value > limit
    return Check(
        name=f"{name} at {percent} %",
        verdict=Verdict.FAIL if failed else Verdict.PASS if enough else Verdict.NO_EVIDENCE,
        value=value if seen.requests else None,
        limit=limit,
        unit=unit,
        samples=seen.requests,
        detail="" if enough or failed else f"few requests came: fewer than {limits.min_samples}",
    )


def _worth_waiting(requests: int, passed_s: float, limits: Switch) -> bool:
    """Whether enough requests can still come: too few did, and at their pace there may be in time."""
    missing, left_s = limits.min_samples - requests, limits.within_s - passed_s
    return missing > 0 and left_s > 0 and (requests + _BY_CHANCE) / passed_s * left_s >= missing
