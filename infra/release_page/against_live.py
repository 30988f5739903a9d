"""The candidate beside the live release: what was judged, and what both took in the same seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from contracts.verdict import Report
from infra.release_page.check_rows import Row, rows
from infra.release_page.figures import NONE, figure, number
from infra.release_page.records import LoadSeries, Scenario

_NAME = "against live"
_Amount = Callable[[Sequence[float]], float]
_MEASURED: dict[str, tuple[str, str, _Amount]] = {
    "p50 of a typical second": ("p50_ms", "baseline_p50_ms", median),
    "p95 of a typical second": ("p95_ms", "baseline_p95_ms", median),
    "slowest webhook": ("max_ms", "baseline_max_ms", max),
}


@dataclass(frozen=True)
class Pair:
    """One quantity of both releases; `ratio` is candidate over live."""

    scenario: str
    name: str
    candidate: str
    live: str
    ratio: str


@dataclass(frozen=True)
class Comparison:
    """The checks against the live release, and the pairs that were measured beside each other."""

    checks: list[Row]
    pairs: list[Pair]


def comparison(report: Report | None, series: LoadSeries | None) -> Comparison | None:
    """What the load suite found about candidate and live release; None when it drove no live release."""
    checks = [check for check in report.checks if _NAME in check.name] if report else []
    pairs = [pair for scenario in (series.scenarios if series else []) for pair in _pairs(scenario)]
    return Comparison(rows(checks), pairs) if checks or pairs else None


def _pairs(scenario: Scenario) -> list[Pair]:
    found = []
    for name, (ours, theirs, amount) in _MEASURED.items():
        both = [
            (candidate, live)
            for second in scenario.seconds
            if (candidate := getattr(second, ours)) is not None
            and (live := getattr(second, theirs)) is not None
        ]
        if both:
            candidate, live = (amount(side) for side in zip(*both, strict=True))
            ratio = f"{number(candidate / live)}×" if live else NONE  # noqa: RUF001 - times is meant
            found.append(Pair(scenario.name, name, figure(candidate, "ms"), figure(live, "ms"), ratio))
    return found
