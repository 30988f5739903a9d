"""Charts as one HTML page in the form of a release's page: plots, and a table of the latest values."""

from __future__ import annotations

import datetime
from itertools import groupby
from pathlib import Path

from infra.release_page.figures import figure, moment, span
from infra.release_page.html import fill
from infra.release_page.plot import laid_out
from runbook.panel_charts import PanelChart

_TEMPLATE = Path(__file__).with_name("metrics_page.html")


def metrics_page(stack: str, charts: list[PanelChart], start_s: float, length_s: int) -> str:
    """The page of *charts*, which are of the *length_s* from *start_s* (Unix time)."""
    start = datetime.datetime.fromtimestamp(start_s, datetime.UTC)
    end = start + datetime.timedelta(seconds=length_s)
    facts = {"From": moment(start), "Until": moment(end), "Length": span(length_s)}
    groups = [
        (group, [(drawn.panel, laid_out(drawn.chart)) for drawn in members])
        for group, members in groupby(charts, key=lambda drawn: drawn.panel.group)
    ]
    rows = [row for drawn in charts for row in _rows(drawn)]
    return fill(_TEMPLATE, stack=stack, facts=facts, groups=groups, rows=rows)


def _rows(drawn: PanelChart) -> list[list[str]]:
    """A row for each line: panel, line, latest, lowest, highest, limit, and whether that is broken."""
    unit = drawn.chart.unit
    limit = " ".join(figure(limit.value, unit) for limit in drawn.chart.limits)
    found = []
    for line in drawn.chart.lines:
        values = [figure(value, unit) for value in (line.points[-1][1], min(line.values), max(line.values))]
        verdict = "above the limit" if drawn.is_above_limit(line) else ""
        found.append([drawn.chart.title, line.name, *values, limit, verdict])
    return found
