"""The load suite's series as charts, scenario by scenario."""

from __future__ import annotations

from contracts.verdict import Report
from infra.release_page.plot import Chart, Limit, Line
from infra.release_page.records import LoadSeries, Scenario, Second, plottable
from infra.release_page.thinning import Point

STEADY = "steady"
"""The scenario whose checks have no prefix."""


def in_order(scenario: Scenario) -> list[Second]:
    """The scenario's seconds in order of time, whatever order they were written in."""
    return sorted(scenario.seconds, key=lambda second: second.t)


def charts(scenario: Scenario, report: Report | None, *, alone: bool) -> list[Chart]:
    """Answer times, reply times, and what was sent and failed; limits are those that *report* was judged by.

    *alone* says that the run had no other scenario, so that its checks need not name it.
    """

    def limit(check: str, name: str) -> list[Limit]:
        return _limit(report, scenario.name, check, name, alone=alone)

    answers = [
        _line(scenario, "p50", "p50", "p50_ms"),
        _line(scenario, "p95", "p95", "p95_ms"),
        _line(scenario, "slowest", "slowest", "max_ms"),
        _line(scenario, "live p50", "live-p50", "baseline_p50_ms"),
        _line(scenario, "live p95", "live-p95", "baseline_p95_ms"),
    ]
    replies = [_line(scenario, "p95", "p95", "reply_p95_ms")]
    any_failed = any(second.failed for second in scenario.seconds)
    counts = [
        _line(scenario, "failed", "failed" if any_failed else "none-failed", "failed", filled=True),
        _line(scenario, "sent", "sent", "sent", filled=True),
    ]
    answer_limits = limit("webhook p95", "limit of p95") + limit("slowest webhook", "limit of slowest")
    return [
        Chart("Webhook answered after", "ms", answers, answer_limits, logarithmic=True),
        Chart("Reply after", "ms", replies, limit("reply p95", "limit of p95"), logarithmic=True),
        Chart("Webhooks each second", "", counts, []),
    ]


def is_alone(series: LoadSeries) -> bool:
    """Whether the run had one scenario only."""
    return len(series.scenarios) == 1


def _line(scenario: Scenario, name: str, kind: str, field: str, *, filled: bool = False) -> Line:
    points: list[Point] = [(second.t, getattr(second, field)) for second in in_order(scenario)]
    return Line(name, kind, points, filled)


def _limit(report: Report | None, scenario: str, check: str, name: str, *, alone: bool) -> list[Limit]:
    names = {f"{scenario}: {check}"} | ({check} if alone or scenario == STEADY else set())
    for found in report.checks if report else []:
        if found.name in names and found.unit == "ms" and isinstance(found.limit, int | float):
            value = plottable(found.limit)
            return [Limit(name, value)] if value else []
    return []
