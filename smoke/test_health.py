"""The health of the release, as the runbook prescribes it, of the whole and of each service."""

from __future__ import annotations

import pytest

from contracts.health import SERVICES, allowed_states
from contracts.targets import Targets
from smoke.evidence import Measured
from smoke.health import HealthAnswer
from smoke.target import Target, described

ANSWERS = 3


@pytest.fixture(scope="module")
def answers(target: Target, targets: Targets) -> list[HealthAnswer]:
    """Some answers, each on a connection of its own: of several web processes more than one is asked."""
    return [HealthAnswer.ask(target, targets.health.answer_s + 1) for _ in range(ANSWERS)]


@pytest.mark.short
def test_health_is_healthy(measured: Measured, answers: list[HealthAnswer]) -> None:
    """`/api/health` is 200 and says `healthy`, each time."""
    wanted = "200 healthy"
    worst = next((answer for answer in answers if answer.verdict != wanted), answers[0])
    measured(worst.verdict, wanted, samples=len(answers), ok=worst.verdict == wanted, detail=worst.line)


def test_health_has_its_shape(measured: Measured, answers: list[HealthAnswer]) -> None:
    """It is what `contracts/health.schema.json` prescribes: each departure is named."""
    problems = list(dict.fromkeys(problem for answer in answers for problem in answer.problems))
    detail = "; ".join(problems)
    measured(len(problems), 0, unit="problems", samples=len(answers), ok=not problems, detail=detail)


@pytest.mark.parametrize("service", SERVICES)
def test_health_of(measured: Measured, answers: list[HealthAnswer], service: str) -> None:
    """What messages cannot do without is `up`; any other service may be unconfigured, and not be down."""
    allowed = allowed_states(service)
    states = [answer.state_of(service) for answer in answers]
    worst = next((state for state in states if state not in allowed), states[0])
    measured(worst, " or ".join(allowed), samples=len(states), ok=worst in allowed)


def test_health_answers_in_time(measured: Measured, answers: list[HealthAnswer], targets: Targets) -> None:
    """The slowest of the health answers keeps the limit."""
    limit_s, slowest_s = targets.health.answer_s, max(answer.waited_s for answer in answers)
    measured(round(slowest_s, 3), limit_s, unit="s", samples=len(answers), ok=slowest_s <= limit_s)


def test_live_answers(measured: Measured, target: Target) -> None:
    """`/api/health/live` is 200."""
    response = target.get("/api/health/live")
    measured(
        response.status_code, "200", samples=1, ok=response.status_code == 200, detail=described(response)
    )
