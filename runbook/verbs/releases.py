"""`releases`: what went live when, by whom, and on what evidence."""

from __future__ import annotations

from typing import Any

from runbook.console import print_json, say, show_row
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.tables import table
from runbook.workspace import open_workspace

_FIGURES = {"error rate": "errors", "webhook p95": "webhook p95", "reply p95": "reply p95"}
HEAD = ("release", "state", "since (UTC)", *_FIGURES.values(), "by", "commit")


def releases(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List what went live, on what evidence."""
    entries = list(reversed(open_workspace(stack).outputs().get("releases") or []))
    if as_json:
        print_json(entries)
        return
    if not entries:
        say(f"no release of stack {stack} went live yet")
        return
    for line in table([HEAD, *(row(entry, live=entry is entries[0]) for entry in entries)]):
        show_row(line)


def row(entry: dict[str, Any], *, live: bool) -> tuple[str, ...]:
    """One line on a release, what matters most first: a narrow terminal cuts off the rest."""
    checks = {check["name"]: check for report in entry["gate"] for check in report["checks"]}
    return (
        entry["manifest"]["id"],
        "live" if live else "",
        entry["at"][:16].replace("T", " "),
        *(figure(checks.get(name)) for name in _FIGURES),
        entry["by"],
        entry["commit"],
    )


def figure(check: dict[str, Any] | None) -> str:
    """A measured value in short: a share in per cent, a time in its unit."""
    value = None if check is None else check["value"]
    if check is None or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return f"{value:.0f} {check['unit']}" if check["unit"] else f"{value:.2%}"
