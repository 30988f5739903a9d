from __future__ import annotations

import io

import pytest
from releases_kit import entry
from rich.console import Console

from runbook.console import show_row
from runbook.tables import table
from runbook.verbs.releases import HEAD, figure, row


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0012, "", "0.12%"),
        (0, "", "0.00%"),
        (1.0, "", "100.00%"),
        (12.345, "ms", "12 ms"),
        (0.4, "ms", "0 ms"),
        (2871.0, "ms", "2871 ms"),
        (None, "ms", "-"),
        ("never", "ms", "never"),
    ],
)
def test_a_figure_is_short(value: float | str | None, unit: str, shown: str) -> None:
    """A share in per cent, a time in whole units; nothing measured is a dash."""
    assert figure({"value": value, "unit": unit}) == shown


def test_a_check_that_was_not_made_is_a_dash() -> None:
    """An older release may have been gated by other checks."""
    assert figure(None) == "-"
    assert row(entry("r-1", gate=[]), live=False)[3:6] == ("-", "-", "-")


def test_a_row_has_what_matters_first() -> None:
    """Release, state, when, figures; then by whom, and the commit."""
    assert row(entry("r-8bf56b7"), live=True) == (
        *("r-8bf56b7", "live", "2026-11-24 12:40"),
        *("0.12%", "12 ms", "88 ms"),
        *("root@a-machine-with-a-long-name", "4cb1406aaaaa+"),
    )
    assert row(entry("r-8bf56b7"), live=False)[1] == ""


def test_columns_stand_under_each_other() -> None:
    """Each begins where its head does."""
    lines = list(table([HEAD, row(entry("r-8bf56b7"), live=True), row(entry("r-1"), live=False)]))
    assert len({lines[0].index("errors"), *(line.index("0.12%") for line in lines[1:])}) == 1
    assert len({lines[0].index("by"), *(line.index("root@") for line in lines[1:])}) == 1


def test_what_matters_fits_80_columns() -> None:
    """The figures are to be seen on every terminal."""
    lines = list(table([HEAD, row(entry("r-8bf56b7"), live=True)]))
    assert lines[0].index("reply p95") + len("reply p95") <= 80


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_release_is_one_line_on_every_terminal(width: int) -> None:
    """What does not fit is cut off, not wrapped."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, emoji=False)
    line = next(table([row(entry("r-8bf56b7"), live=True)]))
    show_row(line, terminal)
    shown = terminal.file.getvalue()
    assert shown.count("\n") == 1
    assert len(shown.rstrip("\n")) <= width
    assert shown.startswith("r-8bf56b7  live  2026-11-24 12:40")
    assert shown.rstrip("\n").endswith("4cb1406aaaaa+" if width == 200 else "…")


def test_a_pipe_gets_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads it there can cut it himself."""
    line = next(table([row(entry("r-8bf56b7"), live=True)]))
    show_row(line)
    assert capsys.readouterr().out == line + "\n"
