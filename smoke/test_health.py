"""The health of the release, as the runbook prescribes it, and the other endpoints for machines."""

from __future__ import annotations

import re
import time

from contracts.targets import Targets
from smoke.evidence import Measured
from smoke.health import health_problems
from smoke.target import Target, described

TIMED_ANSWERS = 3
METRIC_SAMPLE = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? \S+", re.MULTILINE)


def test_health_is_healthy_and_complete(measured: Measured, target: Target, targets: Targets) -> None:
    """`/api/health` is 200 and healthy, with exactly the runbook's services and their allowed values."""
    response = target.get("/api/health", targets.health.answer_s + 1)
    problems = health_problems(response)
    measured(
        len(problems),
        0,
        unit="problems",
        samples=1,
        ok=not problems,
        detail="; ".join(problems),
    )


def test_health_answers_in_time(measured: Measured, target: Target, targets: Targets) -> None:
    """The slowest of a few health answers keeps the limit."""
    limit_s = targets.health.answer_s
    waited_s = []
    for _ in range(TIMED_ANSWERS):
        started = time.monotonic()
        target.get("/api/health", limit_s + 1)
        waited_s.append(time.monotonic() - started)
    slowest_s = max(waited_s)
    measured(round(slowest_s, 3), limit_s, unit="s", samples=len(waited_s), ok=slowest_s <= limit_s)


def test_live_answers(measured: Measured, target: Target) -> None:
    """`/api/health/live` is 200."""
    response = target.get("/api/health/live")
    measured(
        response.status_code, "200", samples=1, ok=response.status_code == 200, detail=described(response)
    )


def test_metrics_are_there(measured: Measured, target: Target) -> None:
    """`/metrics` is 200 and holds samples in Prometheus' text format."""
    response = target.get("/metrics")
    found = len(METRIC_SAMPLE.findall(response.text))
    ok = response.status_code == 200 and found > 0
    measured(found, "at least 1", unit="metrics", samples=1, ok=ok, detail=described(response))
