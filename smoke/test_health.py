"""What a release says of itself and of what it depends on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contracts.health import SERVICES
from contracts.targets import Targets
from smoke.dependencies import HEALTHY, Moment, look
from smoke.evidence import Measured
from smoke.faults import Faults
from smoke.health import HealthAnswer, wait_for
from smoke.options import Options
from smoke.target import Target, described

ANSWERS = 3


@pytest.fixture(scope="module")
def moments(
    target: Target, baseline: Target | None, faults: Faults | None, options: Options, targets: Targets
) -> list[Moment]:
    """Some answers, beside those of the live release if there is one.

    The database may still be away for an earlier run that was killed: it is given back first.
    """
    timeout_s, patience_s = targets.health.answer_s + 1, targets.health.tells_within_s
    if faults is not None and faults.end_left_over():
        wait_for(
            lambda: HealthAnswer.ask(target, timeout_s),
            lambda answer: answer.state_of("database") != "down",
            patience_s,
        )
    if options.is_short:
        return look(target, baseline, timeout_s, count=1, patience_s=patience_s, needed=frozenset())
    return look(target, baseline, timeout_s, count=ANSWERS, patience_s=patience_s)


def test_health_is_healthy(measured: Measured, moments: list[Moment]) -> None:
    """`/api/health` is 200 and says `healthy`, each time; or it says what the live release says meanwhile."""
    worst = _worst(moments, lambda moment: moment.candidate.verdict in moment.allowed_overall())
    verdict, allowed = worst.candidate.verdict, worst.allowed_overall()
    measured(
        verdict,
        " or ".join(allowed),
        samples=len(moments),
        ok=verdict in allowed,
        detail=worst.candidate.line,
        note="" if verdict == HEALTHY else _note(worst),
    )


def test_health_has_its_shape(measured: Measured, moments: list[Moment]) -> None:
    """It is what `contracts/health.schema.json` prescribes: each departure is named."""
    problems = list(dict.fromkeys(problem for moment in moments for problem in moment.candidate.problems))
    detail = "; ".join(problems)
    measured(len(problems), 0, unit="problems", samples=len(moments), ok=not problems, detail=detail)


@pytest.mark.parametrize("service", SERVICES)
def test_health_of(measured: Measured, moments: list[Moment], service: str) -> None:
    """It is no worse than the live release finds it; see `smoke.dependencies` for where there is none."""
    worst = _worst(moments, lambda moment: moment.allows(service))
    state, live = worst.candidate.state_of(service), worst.live
    measured(
        state,
        " or ".join(worst.allowed(service)),
        samples=len(moments),
        ok=worst.allows(service),
        detail=f"the live release finds it {live.state_of(service)} at the same moment" if live else "",
        note=_note(worst) if state == "down" else "",
    )


def test_health_answers_in_time(measured: Measured, moments: list[Moment], targets: Targets) -> None:
    """The slowest of the health answers keeps the limit."""
    limit_s, slowest_s = targets.health.answer_s, max(moment.candidate.waited_s for moment in moments)
    measured(round(slowest_s, 3), limit_s, unit="s", samples=len(moments), ok=slowest_s <= limit_s)


def test_live_answers(measured: Measured, target: Target) -> None:
    """`/api/health/live` is 200."""
    response = target.get("/api/health/live")
    measured(
        response.status_code, "200", samples=1, ok=response.status_code == 200, detail=described(response)
    )


def _worst(moments: list[Moment], is_fine: Callable[[Moment], bool]) -> Moment:
    """The first that is not fine, else the first in which something is down."""
    refused = next((moment for moment in moments if not is_fine(moment)), None)
    return refused or next((moment for moment in moments if moment.candidate.verdict != HEALTHY), moments[0])


def _note(moment: Moment) -> str:
    """Why something that is down is no reason to refuse the release."""
    return "the live release says the same" if moment.live else "no reason to refuse a release"
