"""`releases`: what went live when, by whom, and on what evidence."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from runbook.console import out, print_json
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.workspace import open_workspace

_FIGURES = {"error rate": "errors", "webhook p95": "webhook p95", "reply p95": "reply p95"}


def releases(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List the releases that went live, newest first, with their gates' figures."""
    found = open_workspace(stack).outputs()
    entries = list(reversed(found.get("releases", [])))
    if as_json:
        print_json(entries)
        return
    table = Table("release", "state", "since", "by", "commit", *_FIGURES.values(), box=None)
    for position, entry in enumerate(entries):
        state = "live" if position == 0 else ""
        table.add_row(
            entry["manifest"]["id"], state, entry["at"], entry["by"], entry["commit"], *_figures(entry)
        )
    out.print(table)


def _figures(entry: dict[str, Any]) -> list[str]:
    checks = {check["name"]: check for report in entry["gate"] for check in report["checks"]}
    return [_figure(checks.get(name)) for name in _FIGURES]


def _figure(check: dict[str, Any] | None) -> str:
    if check is None or check["value"] is None:
        return "-"
    value = check["value"]
    shown = f"{value:g}" if isinstance(value, int | float) else str(value)
    return f"{shown} {check['unit']} of {check['limit']:g}, n={check['samples']:g}"
