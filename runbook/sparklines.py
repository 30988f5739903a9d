"""Charts as rows of a terminal: a line of blocks, the latest value, the range."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from infra.release_page.figures import figure, number
from infra.release_page.plot import Line
from runbook.panel_charts import PanelChart

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
_LEGEND, _LATEST, _RANGE = 24, 10, 16
_MIN_COLUMNS, _MAX_COLUMNS = 16, 60


def rows(drawn: PanelChart, width: int, levels: str = BLOCKS) -> Iterator[Text]:
    """The title with the limit, and a row for each line; `!` marks what is above its limit now."""
    chart = drawn.chart
    limits = [f"{limit.name} {figure(limit.value, chart.unit)}" for limit in chart.limits]
    beside = " ".join(limits if chart.lines else ["no data"])
    yield Text(chart.title, "bold").append(beside and beside.rjust(width - len(chart.title)), "not bold")
    highest = max((max(line.values) for line in chart.lines), default=0)
    columns = min(max(width - _LEGEND - _LATEST - _RANGE - 8, _MIN_COLUMNS), _MAX_COLUMNS)
    for line in chart.lines:
        latest, low, high = line.points[-1][1], number(min(line.values)), number(max(line.values))
        shown = "-" if latest is None else figure(latest, chart.unit)
        legend = line.name if len(line.name) <= _LEGEND else f"~{line.name[1 - _LEGEND :]}"  # its end differs
        is_above = drawn.is_above_limit(line)
        yield Text(
            f"  {legend:{_LEGEND}}  {spark(line, highest, columns, levels)} {'!' if is_above else ' '}"
            f"{shown:>{_LATEST}}  {low if low == high else f'{low} to {high}'}",
            "red" if is_above else "",
        )
    if drawn.left_out:
        yield Text(f"  and {drawn.left_out} lower ones")


def spark(line: Line, highest: float, columns: int, levels: str = BLOCKS) -> str:
    """The highest value of each of *columns* spans of time; blank where there was none."""
    signs = ""
    for column in range(columns):
        begin, end = (len(line.points) * edge // columns for edge in (column, column + 1))
        values = [value for _, value in line.points[begin:end] if value is not None]
        level = max(values) / highest * (len(levels) - 1) if values and highest > 0 else 0
        signs += levels[max(round(level), 0)] if values else " "
    return signs
