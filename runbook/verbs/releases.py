"""`releases`: what got live traffic or was refused, when, by whom, and on what evidence."""

from __future__ import annotations

import itertools
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.verdict import Check
from infra.history import History
from infra.release_record import ReleaseRecord
from runbook.console import print_json, say, show, show_row
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.stack_view import read_history, refused_in
from runbook.tables import cell, table
from runbook.workspace import open_workspace

_FIGURES = {"error rate": "errors", "webhook p95": "webhook p95", "reply p95": "reply p95"}
HEAD = ("release", "state", "since (UTC)", *_FIGURES.values(), "commit", "reason", "by")


Release = Annotated[str | None, typer.Argument(help="Only this one, with all that its gate found.")]
Open = Annotated[bool, typer.Option("--open", help="Open its page in a browser.")]


def releases(
    release: Release = None, open_page: Open = False, stack: Stack = DEFAULT_STACK, as_json: Json = False
) -> None:
    """List what went live or was refused, on what evidence; or show one release."""
    workspace = open_workspace(stack)
    rows = list_releases(read_history(workspace), refused_in(workspace.deployment()))
    if release is not None or open_page:
        rows = [row for row in rows if release in (None, row.record.release)][:1]
        if not rows:
            raise RunbookError(f"release {release!r} of stack {stack} is not known", "`bin/runbook releases`")
    if open_page and not webbrowser.open((page := page_of(rows[0].record)).as_uri()):
        say(f"this machine has no browser that could be opened; the page is {page}")
    if as_json:
        print_json([row.as_data() for row in rows])
        return
    if not rows:
        say(f"no release of stack {stack} was tried yet")
        return
    if release is not None:
        show("\n".join(details(rows[0])))
        return
    for line in table([HEAD, *map(cells, rows)]):
        show_row(line)


@dataclass(frozen=True)
class Row:
    """A record, what the release is now (`live`, `kept`, `refused`, `rolled back` or nothing), and why.

    What was said when it came stays in `reason`, whatever becomes of the release after.
    """

    record: ReleaseRecord
    state: str
    reason: str

    def as_data(self) -> dict[str, Any]:
        """For machines."""
        return {**self.record.as_data(), "state": self.state, "reason": self.reason}


def page_of(record: ReleaseRecord) -> Path:
    """The page of a release.

    Raises:
        RunbookError: it is not on this machine.
    """
    page = record.folder / "index.html"
    if not page.exists():
        by = f", by {record.by}" if record.by else ""
        raise RunbookError(
            f"the page of {record.release} is not on this machine: {page}",
            f"it is where the release was tried{by} (in CI, among the artifacts)",
        )
    return page


def details(row: Row) -> Iterator[str]:
    """All that is known of one release, line by line."""
    record = row.record
    branch = f" on {record.branch}" if record.branch else ""
    yield f"{record.release}  {row.state}  {row.reason}".rstrip()
    if record.by:  # else only what became of it is known
        yield f"  {record.verb} at {record.at} by {record.by}, commit {record.commit}{branch}"
    for report in [*record.gate, *([record.traffic] if record.traffic else [])]:
        yield f"  {report.suite}: {report.verdict}, {len(report.checks)} checks, {report.duration_s:.1f} s"
        yield from (f"    {check}" for check in report.checks)
    try:
        yield f"  page: {page_of(record)}"
    except RunbookError as error:
        yield f"  {error.message}; {error.hint}"


def list_releases(history: History, refused: Sequence[ReleaseRecord]) -> list[Row]:
    """All records, newest first: those of the history in its order, among them each refusal by its time.

    A release that had nothing but a share of the traffic has no record that tells of it: it is listed after
    the one that took it out.
    """
    # The clocks of those who deploy differ: no record counts as earlier than the one before it.
    times = itertools.accumulate((record.at for record in history.records), max)
    timed = [*zip(times, history.records, strict=True), *((record.at, record) for record in refused)]
    timed.sort(key=lambda each: each[0])
    seen: set[str] = set()
    rows = []
    for _, record in reversed(timed):
        state, reason = "", why_it_came(record)
        if record.refusal:
            state, reason = "refused", first_reason(record.refusal)
        elif record.release not in seen:
            seen.add(record.release)
            state, reason = _state_of(record.release, history, reason)
        rows.append(Row(record, state, reason))
        out = record.takes_out
        if out in history.rolled_back and out not in {*history.releases, *seen}:
            seen.add(out)
            without_its_own = ReleaseRecord(release=out, stack=record.stack, at=record.at)
            rows.append(Row(without_its_own, *_state_of(out, history, "")))
    return rows


def _state_of(release: str, history: History, reason: str) -> tuple[str, str]:
    if release == history.live:
        return "live", reason
    if (taken_out := history.rolled_back.get(release)) is not None:
        return "rolled back", f"{taken_out}, to {taken_out.to}" + (f"; before: {reason}" if reason else "")
    return ("kept", reason) if release in history.running else ("", reason)


def why_it_came(record: ReleaseRecord) -> str:
    """The record's own reason; where another release was taken out for it, that too."""
    if not record.takes_out:
        return record.reason
    return f"{record.verb}{f': {record.reason}' if record.reason else ''}, instead of {record.takes_out}"


def first_reason(refusal: list[str]) -> str:
    """The first thing that was wrong, of a refusal's lines."""
    return next((line.strip() for line in refusal if line.startswith("  ")), refusal[0])


def cells(row: Row) -> tuple[str, ...]:
    """One line on a release, what matters most first: a narrow terminal cuts off the rest."""
    record = row.record
    checks = {check.name: check for report in record.gate for check in report.checks}
    return (
        record.release,
        row.state,
        record.at[:16].replace("T", " "),
        *(figure(checks.get(name)) for name in _FIGURES),
        record.commit,
        cell(row.reason),
        record.by,
    )


def figure(check: Check | None) -> str:
    """A measured value in short: a share in per cent, a time in its unit."""
    value = check.value if check else None
    if check is None or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return f"{value:.0f} {check.unit}" if check.unit else f"{value:.2%}"
