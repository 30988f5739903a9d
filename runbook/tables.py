"""Tables, also of what comes from outside: names, reasons and times that somebody else wrote."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from infra.errors import printable
from runbook.console import show_row

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip()


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print *rows* under *head*; None is a dash."""
    for line in table([head, *([cell(value) for value in row] for row in rows)]):
        show_row(line)


def cell(value: object) -> str:
    """A value as one cell: nothing in it can end the line or steer the terminal."""
    return "-" if value is None or value == "" else printable(value)


def span(milliseconds: int | None) -> str | None:
    """How long that is, in the largest unit of which there are two: `90 s`, `5 min`, `36 h`, `4 d`."""
    if milliseconds is None:
        return None
    seconds = milliseconds // 1000
    for length_s, unit in _UNITS:
        if seconds >= 2 * length_s:
            return f"{seconds // length_s} {unit}"
    return f"{seconds} s"


def moment(milliseconds: int | None) -> str | None:
    """A time in ms since 1970 as UTC, to the second; None for one that no calendar has."""
    if milliseconds is None:
        return None
    try:
        time = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return f"{time:%Y-%m-%d %H:%M:%S}"
