"""Log lines as an operator reads them: one line each, or as JSON for other programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from infra.errors import printable
from runbook.console import out, say, show
from runbook.log_table import Found, LogTable
from runbook.tables import moment, show_table

_ORDER = {"received": 0, "verified": 1}
"""Of events in the same ms; others come after."""
_COLOURS = {"warning": "yellow", "error": "red", "critical": "bold red", "fatal": "bold red"}
_UNSAID = {
    *("time", "level", "msg", "container", "role", "release"),
    *("webhook", "event", "security", "stream", "plain"),
}
_PREFIX = re.compile(r"^runbook-.+?-(?=(web|worker|proxy|redis|logs|sandbox)\b)")


def show_lines(found: Found, *, as_json: bool) -> None:
    """Print what was *found*, the oldest first."""
    rows = sorted(((json.loads(line), line) for line in found.lines), key=_place)
    for fields, line in rows:
        if as_json:
            show(line if line.isascii() and line.isprintable() else json.dumps(fields))
        elif out.is_terminal:
            out.print(_line(fields), soft_wrap=True)
        else:
            show(_line(fields).plain)
    _say_unreadable(found.unreadable, found.broken)


def _place(row: tuple[dict[str, Any], str]) -> tuple[float, int]:
    return _time_ms(row[0]), _ORDER.get(str(row[0].get("event")), len(_ORDER))


def _time_ms(fields: dict[str, Any]) -> float:
    """A line's time; DuckDB takes a number in quotes for one, too."""
    return float(fields["time"])


def show_rows(table: LogTable, sql: str, limit: int, *, as_json: bool) -> None:
    """Print what an operator's own SELECT gives, up to *limit* rows."""
    columns, rows = table.query(sql, limit + 1)
    shown = rows[:limit]
    if as_json:
        for row in shown:
            show(json.dumps(dict(zip(columns, row, strict=True)), default=str))
    else:
        show_table(columns, shown)
    if len(rows) > limit:
        say(f"the first {limit} rows: --limit has more")
    unreadable = table.count_unreadable()
    _say_unreadable(unreadable, table.broken)


def _say_unreadable(count: int, broken: Sequence[str]) -> None:
    if count:
        say(f"{count} lines cannot be read" if count > 1 else "1 line cannot be read")
    if broken:
        what = f"{len(broken)} segments cannot" if len(broken) > 1 else "1 segment cannot"
        say(f"{what} be read: {', '.join(broken)}")


def _line(fields: dict[str, Any]) -> Text:
    """When, how bad, who, what; then what matters of the rest."""
    level = printable(fields.get("level", "-"))
    whose = _PREFIX.sub("", str(fields.get("container", "-")))
    time_ms = int(_time_ms(fields))
    return Text.assemble(
        (f"{moment(time_ms)}.{time_ms % 1000:03d} ", "dim"),
        (f"{level:<8} ", _COLOURS.get(level, "")),
        (f"{printable(whose)} ", "dim"),
        (printable(fields.get("msg", "")), "bold"),
        *(f" {printable(name)}={_value(value)}" for name, value in fields.items() if name not in _UNSAID),
    )


def _value(value: object) -> str:
    if isinstance(value, str):
        return printable(value) if value and " " not in value else f'"{printable(value)}"'
    return printable(json.dumps(value))
