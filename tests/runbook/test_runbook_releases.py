from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from fake_stack import moves_of
from fake_workspace import FakeWorkspace
from records import SIZING, check, deployed, history_of, in_order, outputs_of, record, route
from rich.console import Console

from contracts.verdict import Check
from infra.history import History
from infra.live_route import LiveRoute
from infra.release_record import ReleaseRecord
from runbook.console import show_row
from runbook.stack_view import refused_in
from runbook.tables import table
from runbook.verbs.releases import HEAD, cells, details, figure, list_releases, releases

LINES = ["gate: load refused release r-9 (fail):", "  lost: fail"]
REFUSED = record("r-9", refusal=LINES)


def listed(
    outputs: dict[str, Any], *refused: ReleaseRecord, live: LiveRoute | None = None
) -> list[tuple[str, str, str]]:
    """Release, state and reason, as they are listed."""
    rows = list_releases(history_of(outputs, live), refused)
    return [(row.record.release, row.state, row.reason) for row in rows]


def shown(release: str, *, live: bool = True) -> tuple[str, ...]:
    """The row of one release."""
    outputs = deployed(release) if live else deployed(release, "r-0")
    return cells(list_releases(history_of(outputs), [])[-1])


def test_each_release_has_its_state_and_the_reason_for_it() -> None:
    """Newest first: live, kept, refused with the first check that failed, rolled back with who and why."""
    records = [record("r-1"), record("r-2"), record("r-3"), record("r-2", "rollback", "slow")]
    refused = REFUSED.model_copy(update={"at": "2026-11-24T12:12:50+00:00"})
    assert listed(outputs_of(*records, kept=("r-1",)), refused) == [
        ("r-2", "live", "rollback: slow, instead of r-3"),
        ("r-9", "refused", "lost: fail"),
        ("r-3", "rolled back", "at 2026-11-24 12:13 by root@a-machine-with-a-long-name: slow, to r-2"),
        ("r-2", "", ""),
        ("r-1", "kept", ""),
    ]


def test_the_reason_of_a_rollback_stays_when_the_release_that_was_taken_out_comes_back() -> None:
    """In the row of the one that it brought back, also once that one is taken out itself."""
    records = [
        record("r-1"),
        record("r-2"),
        record("r-1", "rollback", "trying it"),
        record("r-2", "rollback"),
    ]
    assert listed(outputs_of(*records)) == [
        ("r-2", "live", "rollback, instead of r-1"),
        (
            "r-1",
            "rolled back",
            "at 2026-11-24 12:13 by root@a-machine-with-a-long-name, to r-2; "
            "before: rollback: trying it, instead of r-2",
        ),
        ("r-2", "", ""),
        ("r-1", "", ""),
    ]


def test_a_release_that_did_not_keep_the_traffic_is_refused() -> None:
    """With what its own answers showed."""
    lines = ["traffic: r-2 did not keep the traffic (fail):", "  error rate at 5 %: fail: 1, limit 0.01"]
    outputs = outputs_of(record("r-1"), record("r-2", refusal=lines))
    assert listed(outputs)[0] == ("r-2", "refused", "error rate at 5 %: fail: 1, limit 0.01")


def test_the_proxy_says_which_release_is_live() -> None:
    """An update was interrupted after the traffic had moved: the state still has the one before."""
    moved = route("r-3", *moves_of("r-1", "r-2", "r-3")[2:])
    assert listed(deployed("r-1", "r-2", kept=("r-2", "r-1")), live=moved) == [
        ("r-3", "live", ""),
        ("r-2", "kept", ""),
        ("r-1", "kept", ""),
    ]


def test_the_records_order_holds_whatever_the_clocks_say() -> None:
    """A rollback's clock is behind: it is listed as the newest all the same, and a refusal by its time."""
    records = in_order(record("r-1"), record("r-2"), record("r-1", "rollback", "slow"))
    records[2] = records[2].model_copy(update={"at": "2026-11-24T12:09:31+00:00"})
    refused = REFUSED.model_copy(update={"at": "2026-11-24T12:10:50+00:00"})
    rows = list_releases(History("r-1", tuple(records)), [refused])
    assert [(row.record.release, row.state) for row in rows] == [
        ("r-1", "live"),
        ("r-2", "rolled back"),
        ("r-9", "refused"),
        ("r-1", ""),
    ]


def test_a_release_that_only_had_a_share_when_it_was_taken_out_is_listed() -> None:
    """Its update was killed, so no record is its own; once, also where an earlier trial refused it."""
    records = (
        record("r-1"),
        record("r-1", "rollback", "slow", replaced="r-2", stack="dev"),
        record("r-1", "rollback", "slow still", replaced="r-2", stack="dev"),
    )
    earlier = record("r-2", at="2026-11-24T12:00:00+00:00", refusal=LINES)
    rows = list_releases(History("r-1", records), [earlier])
    assert [(row.record.release, row.state) for row in rows] == [
        ("r-1", "live"),
        ("r-2", "rolled back"),
        ("r-1", ""),
        ("r-1", ""),
        ("r-2", "refused"),
    ]
    assert rows[1].reason.endswith("by root@a-machine-with-a-long-name: slow still, to r-1")
    assert cells(rows[1])[:3] == ("r-2", "rolled back", "2026-11-24 12:40")
    lines = list(details(rows[1]))
    assert lines[0] == f"r-2  rolled back  {rows[1].reason}"
    assert "/dev/r-2/" in lines[1]
    assert lines[1].endswith("it is where the release was tried (in CI, among the artifacts)")


def test_a_machine_reads_all_that_is_known() -> None:
    """The record as the state has it, what the release is now, and why."""
    records = [record("r-1"), record("r-2"), record("r-1", "rollback", "slow")]
    newest, taken_out, _ = [row.as_data() for row in list_releases(history_of(outputs_of(*records)), [])]
    assert (newest["state"], newest["verb"], newest["manifest"]["id"]) == ("live", "rollback", "r-1")
    assert (taken_out["release"], taken_out["state"]) == ("r-2", "rolled back")
    assert taken_out["reason"] == "at 2026-11-24 12:12 by root@a-machine-with-a-long-name: slow, to r-1"


def test_one_release_is_shown_with_all_that_its_gate_found() -> None:
    """And where its page is, or who has it."""
    lines = list(details(list_releases(history_of(deployed("r-8bf56b7")), [])[0]))
    assert lines[0] == "r-8bf56b7  live"
    assert lines[1].endswith("by root@a-machine-with-a-long-name, commit 4cb1406aaaaa+ on main")
    assert "    error rate: pass: 0.0012, limit 0.01, samples 1100" in lines
    assert lines[-1].startswith("  the page of r-8bf56b7 is not on this machine")
    assert "it is where the release was tried, by root@a-machine-with-a-long-name" in lines[-1]


@pytest.mark.parametrize("has_browser", [True, False])
def test_without_a_browser_the_page_is_named(
    has_browser: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a server `--open` would do nothing, in silence."""
    workspace = FakeWorkspace(found_outputs=outputs_of(record("r-1", stack="dev")))
    monkeypatch.setattr("runbook.verbs.releases.open_workspace", lambda _stack: workspace)
    monkeypatch.setattr("infra.release_record.BUILD", tmp_path)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or has_browser)
    page = tmp_path / "reports/dev/r-1/index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    releases("r-1", open_page=True)
    assert opened == [page.as_uri()]
    said = capsys.readouterr().err.replace("\n", "")
    assert (f"no browser that could be opened; the page is {page}" in said) is not has_browser


def test_refusals_are_read_from_the_state() -> None:
    """Where the trial keeps them; a stack without one has none."""
    urn = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::trial"
    state = {"resources": [{"urn": "urn:x"}, {"urn": urn, "outputs": {"refused": [REFUSED.as_data()]}}]}
    assert refused_in(state) == (REFUSED,)
    assert refused_in({"resources": [{"urn": urn}]}) == ()
    assert refused_in({}) == ()


def test_a_refusal_that_an_older_version_wrote_is_read() -> None:
    """Its record had other names."""
    urn = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::trial"
    older = {"manifest": {"id": "r-9", "image": "i", "shape": SIZING.model_dump()}, "refusal": LINES}
    older["order"] = {"verb": "hotfix", "reason": "slow", "gate": "smoke"}
    (found,) = refused_in({"resources": [{"urn": urn, "outputs": {"refused": [older]}}]})
    assert (found.release, found.verb, found.reason, found.depth) == ("r-9", "hotfix", "slow", "smoke")


def measured(value: float | str | None, unit: str) -> Check:
    """A check with this value."""
    return check("it", 1, 1, unit).model_copy(update={"value": value})


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
    assert figure(measured(value, unit)) == shown


def test_a_check_that_was_not_made_is_a_dash() -> None:
    """An older release may have been gated by other checks."""
    assert figure(None) == "-"
    assert figure(measured(None, "ms")) == "-"
    outputs = outputs_of(record("r-1", gate=[]))
    assert cells(list_releases(history_of(outputs), [])[0])[3:6] == ("-", "-", "-")


def test_a_row_has_what_matters_first() -> None:
    """Release, state, when, figures; then the commit, the reason, and by whom."""
    assert shown("r-8bf56b7") == (
        *("r-8bf56b7", "live", "2026-11-24 12:10"),
        *("0.12%", "12 ms", "88 ms"),
        *("4cb1406aaaaa+", "-", "root@a-machine-with-a-long-name"),
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
    assert text.rstrip("\n").endswith("root@a-machine-with-a-long-name" if width == 200 else "…")


def test_a_pipe_gets_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads it there can cut it himself."""
    line = next(table([shown("r-8bf56b7")]))
    show_row(line)
    assert capsys.readouterr().out == line + "\n"
