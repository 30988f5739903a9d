"""`metrics`: the panels of the dashboard, in the terminal, as a page or for machines."""

from __future__ import annotations

import locale
import sys
import time
import webbrowser
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.checkout import BUILD
from infra.monitoring.panels import read_panels
from infra.stack_name import bare_name
from runbook.console import out, print_json, say, show, show_row
from runbook.errors import RunbookError
from runbook.metrics_page import metrics_page
from runbook.monitoring_api import monitors_of
from runbook.options import DEFAULT_STACK, Json, Since, Stack, read_moment
from runbook.panel_charts import PanelChart, read_charts
from runbook.sparklines import ASCII, BLOCKS, rows

MIN_LENGTH_S = 60
MAX_LENGTH_S = 366 * 86_400

PanelName = Annotated[str | None, typer.Argument(help="Only this one.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page with the charts here.")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]


def metrics(
    panel: PanelName = None,
    since: Since = None,
    html: Html = None,
    open_page: Open = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Show how the stack does in the last hour, or since: the panels of its dashboard.

    `!` marks what is above its limit now.
    """
    panels = {each.name: each for each in read_panels()}
    if panel not in (None, *panels):
        raise RunbookError(f"there is no panel {panel!r}", f"there are {', '.join(panels)}")
    start_s = (read_moment("1h") if since is None else since) / 1000
    length_s = round(time.time() - start_s)
    if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
        raise typer.BadParameter("--since should be a minute to a year ago")
    shown = [panels[panel]] if panel else [*panels.values()]
    prometheus, _ = monitors_of(stack)
    charts = read_charts(prometheus, shown, start_s, length_s)
    if html or open_page:
        page = html or BUILD / "reports" / bare_name(stack) / "metrics.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(metrics_page(stack, charts, start_s, length_s), encoding="utf-8")
        has_browser = open_page and webbrowser.open(page.resolve().as_uri())
        say(f"{'' if has_browser or not open_page else 'no browser could be opened; '}the page is {page}")
    if as_json:
        print_json([as_data(drawn, start_s) for drawn in charts])
    elif not (html or open_page):
        levels = BLOCKS if _has_blocks() else ASCII
        for group, members in groupby(charts, key=lambda drawn: drawn.panel.group):
            show(f"\n{group.upper()}")
            for row in (row for drawn in members for row in rows(drawn, out.width, levels)):
                show_row(row)


def as_data(drawn: PanelChart, start_s: float) -> dict[str, Any]:
    """One panel for machines, its values in its unit: null where there was none at that (Unix) time."""
    series = [
        {
            "legend": line.name,
            "last": line.points[-1][1],
            "min": min(line.values),
            "max": max(line.values),
            "series": [(start_s + at_s, value) for at_s, value in line.points],
        }
        for line in drawn.chart.lines
    ]
    limit = next((limit.value for limit in drawn.chart.limits), None)
    told = {name: getattr(drawn.panel, name) for name in ("name", "group", "title", "meaning", "limited")}
    return {**told, "unit": drawn.chart.unit, "limit": limit, "left_out": drawn.left_out, "lines": series}


def _has_blocks() -> bool:
    """Whether the locale and the stream have the signs that sparklines are made of."""
    try:
        return bool(BLOCKS.encode(locale.getencoding()) and BLOCKS.encode(sys.stdout.encoding))
    except UnicodeEncodeError:
        return False
