"""Panels with what Prometheus has of them, as charts: the same for the terminal, the page and machines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.errors import printable
from infra.monitoring.panels import WINDOW, Panel, Unit
from infra.release_page.plot import Chart, Limit, Line
from infra.release_page.thinning import Point
from runbook.monitoring_api import Prometheus

STEPS = 180
MAX_LINES = 8
_MIN_WINDOW_S = 60
_PANELS_AT_ONCE = 4
_KINDS = 6  # as many as the page's style sheet tells apart


@dataclass(frozen=True)
class PanelChart:
    """A panel's lines, with values in the chart's unit; `left_out` lower ones are not among them."""

    panel: Panel
    chart: Chart
    left_out: int

    def is_above_limit(self, line: Line) -> bool:
        """Whether the latest value of *line* breaks the limit."""
        latest = line.points[-1][1]
        limits = self.chart.limits if self.panel.limited in ("", line.name) else []
        return latest is not None and any(latest > limit.value for limit in limits)


def read_charts(
    prometheus: Prometheus, panels: Sequence[Panel], start_s: float, length_s: int
) -> list[PanelChart]:
    """The charts of *panels* for the *length_s* from *start_s* (Unix time).

    Raises:
        RunbookError: Prometheus cannot be asked, or refuses a query.
    """
    with ThreadPoolExecutor(_PANELS_AT_ONCE) as pool:
        return list(pool.map(lambda panel: read_chart(prometheus, panel, start_s, length_s), panels))


def read_chart(prometheus: Prometheus, panel: Panel, start_s: float, length_s: int) -> PanelChart:
    """One of them, with its highest lines."""
    found = list(_measured(prometheus, panel, start_s, length_s))
    if any("{{" in legend for legend in panel.queries):  # else they are in an order: p50, p95, p99
        found.sort(key=lambda each: (each[1][-1] is None, -_highest(each[1])))
    shown = found[:MAX_LINES]
    factor, unit = _scale(panel.unit, max((_highest(values) for _, values in shown), default=0.0))
    lines = []
    for number, (name, values) in enumerate(shown):
        scaled = [None if value is None else value * factor for value in values]
        points: list[Point] = [(n * length_s / STEPS, value) for n, value in enumerate(scaled)]
        lines.append(Line(name, f"container-{number % _KINDS + 1}", points))
    limit = f"limit of {panel.limited}" if panel.limited else "limit"
    limits = [] if panel.limit is None else [Limit(limit, panel.limit * factor)]
    chart = Chart(panel.title, unit, lines, limits, logarithmic=panel.unit is Unit.SECONDS)
    return PanelChart(panel, chart, len(found) - len(shown))


def _measured(
    prometheus: Prometheus, panel: Panel, start_s: float, length_s: int
) -> Iterator[tuple[str, list[float | None]]]:
    """Each series that has a value, with its legend: a value for each step, None where there was none."""
    step_s = length_s / STEPS
    window = f"{max(_MIN_WINDOW_S, math.ceil(step_s))}s"  # no event falls between two steps
    for legend, promql in panel.queries.items():
        asked = promql.replace(WINDOW, window)
        for series in prometheus.query_range(asked, start_s, start_s + length_s, step_s):
            values: list[float | None] = [None] * (STEPS + 1)
            for time_s, value in series.values:
                if math.isfinite(value):  # a percentile of no requests is NaN, Redis without a bound +Inf
                    values[round((time_s - start_s) / step_s)] = value
            if any(value is not None for value in values):
                yield _filled(legend, series.metric), values


def _filled(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: printable(labels.get(label[1], "")), legend) or "-"


def _highest(values: list[float | None]) -> float:
    return max(value for value in values if value is not None)


def _scale(unit: Unit, highest: float) -> tuple[float, str]:
    """What values are multiplied by to be read, and the unit that they are in then."""
    if unit is Unit.SECONDS and highest < 10:
        return 1000, "ms"
    return (100, "%") if unit is Unit.SHARE else (1, unit.value)
