from __future__ import annotations

import io
from typing import Any

import pytest
from releases_kit import entry, history, outputs_of
from rich.console import Console

from infra.history import History
from runbook.console import show_row
from runbook.tables import table
from runbook.verbs.releases import HEAD, figure, refused_in, row, told

LINES = ["gate: load refused release r-9 (fail):", "  lost: fail"]
REFUSED = {
    **entry("r-9"),
    "release": "r-9",
    "refusal": LINES,
}


def listed(outputs: dict[str, Any], *refused: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Release, state and reason, as they are listed."""
    rows = told(History.of(outputs), list(refused))
    return [(each["release"], each["state"], each["reason"]) for each in rows]


def shown(release: str, live: bool = True) -> tuple[str, ...]:
    """The row of one release."""
    outputs = history(release) if live else history(release, "r-0")
    return row(told(History.of(outputs), [])[-1])


def test_each_release_has_its_state_and_the_reason_for_it() -> None:
    """Newest first: live, kept, refused with the first check that failed, rolled back with who and why."""
    entries = [entry("r-1"), entry("r-2"), entry("r-3"), entry("r-2", "rollback", "slow")]
    refused = {**REFUSED, "at": "2026-11-24T12:12:50+00:00"}
    assert listed(outputs_of(entries, kept=("r-1",)), refused) == [
        ("r-2", "live", "slow"),
        ("r-9", "refused", "lost: fail"),
        ("r-3", "rolled back", "at 2026-11-24 12:13 by root@a-machine-with-a-long-name: slow, to r-2"),
        ("r-2", "", ""),
        ("r-1", "kept", ""),
    ]


def test_a_release_that_did_not_keep_the_traffic_is_refused() -> None:
    """With what its own answers showed."""
    lines = ["traffic: r-2 did not keep the traffic (fail):", "  error rate at 5 %: fail: 1, limit 0.01"]
    outputs = history("r-1")
    outputs["releases"].append(entry("r-2", refusal=lines))
    assert listed(outputs)[0] == ("r-2", "refused", "error rate at 5 %: fail: 1, limit 0.01")


def test_refusals_are_read_from_the_state() -> None:
    """Where the trial keeps them; a stack without one has none."""
    urn = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::trial"
    state = {"resources": [{"urn": "urn:x"}, {"urn": urn, "outputs": {"refused": [REFUSED]}}]}
    assert refused_in(state) == [REFUSED]
    assert refused_in({"resources": [{"urn": urn}]}) == []
    assert refused_in({}) == []


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
    assert figure({"unit": "ms", "verdict": "no evidence"}) == "-"  # nor does the state keep what is null
    outputs = outputs_of([entry("r-1", gate=[])])
    assert row(told(History.of(outputs), [])[0])[3:6] == ("-", "-", "-")


def test_a_row_has_what_matters_first() -> None:
    """Release, state, when, figures; then by whom, the commit, the image and the reason."""
    assert shown("r-8bf56b7") == (
        *("r-8bf56b7", "live", "2026-11-24 12:10"),
        *("0.12%", "12 ms", "88 ms"),
        *("root@a-machine-with-a-long-name", "4cb1406aaaaa+", "runbook/service:r-8bf56b7", "-"),
    )
    assert shown("r-8bf56b7", live=False)[1] == ""


def test_columns_stand_under_each_other() -> None:
    """Each begins where its head does."""
    lines = list(table([HEAD, shown("r-8bf56b7"), shown("r-1", live=False)]))
    assert len({lines[0].index("errors"), *(line.index("0.12%") for line in lines[1:])}) == 1
    assert len({lines[0].index("by"), *(line.index("root@") for line in lines[1:])}) == 1


def test_what_matters_fits_80_columns() -> None:
    """The figures are to be seen on every terminal."""
    lines = list(table([HEAD, shown("r-8bf56b7")]))
    assert lines[0].index("reply p95") + len("reply p95") <= 80


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_release_is_one_line_on_every_terminal(width: int) -> None:
    """What does not fit is cut off, not wrapped."""
    terminal = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, emoji=False)
    line = next(table([shown("r-8bf56b7")]))
    show_row(line, terminal)
    text = terminal.file.getvalue()
    assert text.count("\n") == 1
    assert len(text.rstrip("\n")) <= width
    assert text.startswith("r-8bf56b7  live  2026-11-24 12:10")
    assert text.rstrip("\n").endswith("runbook/service:r-8bf56b7  -" if width == 200 else "…")


def test_a_pipe_gets_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads it there can cut it himself."""
    line = next(table([shown("r-8bf56b7")]))
    show_row(line)
    assert capsys.readouterr().out == line + "\n"
