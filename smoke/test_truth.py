"""Does health tell the truth? The database is taken from the release for a moment, and given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from contracts.targets import Targets
from smoke.evidence import Measured
from smoke.faults import Faults
from smoke.health import HealthAnswer
from smoke.options import Options
from smoke.target import Target, open_client

IN_A_ROW = 3
"""Answers that must agree: a proxy picks one of several web processes, and each finds out for itself."""

BETWEEN_ANSWERS_S = 0.1

DOWN = ("503 unhealthy", "down")


@pytest.fixture
def faults(options: Options) -> Iterator[Faults]:
    """Where the database's fault is set."""
    with open_client(options.base_url) as client:
        yield Faults(client, options.faults_url or "", options.fault_hosts)


def test_health_tells_the_truth(
    measured: Measured, target: Target, targets: Targets, options: Options, faults: Faults
) -> None:
    """With the database down `/api/health` is 503, unhealthy and says so; as before when it is back."""
    limit_s, timeout_s = targets.health.tells_within_s, targets.health.answer_s + 1

    def ask() -> HealthAnswer:
        return HealthAnswer.ask(target, timeout_s)

    def record(wait: Wait, situation: str) -> None:
        detail = f"{situation}, and at last {wait.last}"
        measured(wait.took_s, limit_s, unit="s", samples=wait.asked, ok=wait.took_s <= limit_s, detail=detail)

    before = ask()
    measured(before.verdict, "not yet down", samples=1, ok=_said(before) != DOWN, detail=before.line)
    with faults.database_down():
        down = wait_for(ask, lambda answer: _said(answer) == DOWN, limit_s)
        record(down, f"the database was down{_for_whom(options)}")
    back = wait_for(ask, lambda answer: _said(answer) == _said(before), limit_s)
    record(back, "the database was back")


def _said(answer: HealthAnswer) -> tuple[str, str]:
    """Of the whole, and of the database."""
    return answer.verdict, answer.state_of("database")


def _for_whom(options: Options) -> str:
    return f" for {', '.join(options.fault_hosts)}" if options.fault_hosts else ""


@dataclass(frozen=True)
class Wait:
    """For how long (s) answers were waited for, how many came, and the last of them."""

    took_s: float
    asked: int
    last: str


def wait_for(
    ask: Callable[[], HealthAnswer], expected: Callable[[HealthAnswer], bool], limit_s: float
) -> Wait:
    """Ask until some answers in a row are as *expected*, or the limit is over."""
    started, asked, agreed = time.monotonic(), 0, 0
    while True:
        answer = ask()
        asked, agreed = asked + 1, agreed + 1 if expected(answer) else 0
        took_s = round(time.monotonic() - started, 3)
        if agreed == IN_A_ROW or took_s > limit_s:
            return Wait(took_s, asked, answer.line)
        time.sleep(BETWEEN_ANSWERS_S)
