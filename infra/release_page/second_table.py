"""A scenario second by second as a table: for those who cannot see its plots, or want the figures."""

from __future__ import annotations

from dataclasses import dataclass

from infra.release_page.figures import figure, span
from infra.release_page.load_charts import in_order
from infra.release_page.records import Scenario

MOST_ROWS = 120
_COLUMNS = {
    "sent": "sent",
    "failed": "failed",
    "p50_ms": "p50",
    "p95_ms": "p95",
    "max_ms": "slowest",
    "reply_p95_ms": "reply p95",
    "baseline_p50_ms": "live p50",
    "baseline_p95_ms": "live p95",
    "baseline_max_ms": "live slowest",
}


@dataclass(frozen=True)
class Table:
    """Cells as they are shown; `left_out` says why there are no rows."""

    head: list[str]
    rows: list[list[str]]
    left_out: str = ""


def second_table(scenario: Scenario) -> Table:
    """Counts and times in ms; columns without any value are left out, and so are the rows of a long run."""
    seconds = in_order(scenario)
    fields = [name for name in _COLUMNS if any(getattr(second, name) is not None for second in seconds)]
    head = ["second", *(_COLUMNS[name] for name in fields)]
    if len(seconds) > MOST_ROWS:
        return Table(head, [], f"{len(seconds):,} seconds are too many for a table: see load.series.json")
    rows = [[span(second.t), *(figure(getattr(second, name), "") for name in fields)] for second in seconds]
    return Table(head, rows)
