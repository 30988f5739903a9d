"""`releases`: what got live traffic or was refused, when, by whom, and on what evidence."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.verdict import Report
from infra.history import History
from infra.release_report import release_folder
from runbook.console import print_json, say, show, show_row
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.tables import cell, table
from runbook.workspace import bare_name, open_workspace

_FIGURES = {"error rate": "errors", "webhook p95": "webhook p95", "reply p95": "reply p95"}
HEAD = ("release", "state", "since (UTC)", *_FIGURES.values(), "by", "commit", "image", "reason")


Release = Annotated[str | None, typer.Argument(help="Only this one, with all that its gate found.")]
Open = Annotated[bool, typer.Option("--open", help="Open its page in a browser.")]


def releases(
    release: Release = None, open_page: Open = False, stack: Stack = DEFAULT_STACK, as_json: Json = False
) -> None:
    """List what went live or was refused, on what evidence; or show one release."""
    workspace = open_workspace(stack)
    rows = told(History.of(workspace.outputs()), refused_in(workspace.export()))
    if release is not None or open_page:
        rows = [row for row in rows if release in (None, row["release"])][:1]
        if not rows:
            raise RunbookError(f"release {release!r} of stack {stack} is not known", "`bin/runbook releases`")
    if open_page:
        webbrowser.open(page_of(rows[0], bare_name(stack)).as_uri())
    if as_json:
        print_json(rows)
        return
    if not rows:
        say(f"no release of stack {stack} was tried yet")
        return
    if release is not None:
        show("\n".join(details(rows[0], bare_name(stack))))
        return
    for line in table([HEAD, *map(row, rows)]):
        show_row(line)


def page_of(entry: dict[str, Any], stack: str) -> Path:
    """The page of an entry.

    Raises:
        RunbookError: it is not on this machine.
    """
    page = release_folder(stack, entry["release"], entry["order"]) / "index.html"
    if not page.exists():
        raise RunbookError(
            f"the page of {entry['release']} is not on this machine: {page}",
            f"it is where the release was tried, by {entry['by']} (in CI, among the artifacts)",
        )
    return page


def details(entry: dict[str, Any], stack: str) -> Iterator[str]:
    """All that is known of one release, line by line."""
    branch = f" on {entry['branch']}" if entry.get("branch") else ""
    yield f"{entry['release']}  {entry['state']}  {entry['reason']}".rstrip()
    yield f"  {entry['order']['verb']} at {entry['at']} by {entry['by']}, commit {entry['commit']}{branch}"
    for report in [*entry["gate"], *([entry["traffic"]] if entry.get("traffic") else [])]:
        found = Report.model_validate(report)
        yield f"  {found.suite}: {found.verdict}, {len(found.checks)} checks, {found.duration_s:.1f} s"
        yield from (f"    {check}" for check in found.checks)
    try:
        yield f"  page: {page_of(entry, stack)}"
    except RunbookError as error:
        yield f"  {error.message}; {error.hint}"


def refused_in(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of releases that did not pass their trial, from a stack's state, oldest first."""
    for resource in deployment.get("resources") or []:
        if resource["urn"].endswith("pulumi-python:dynamic:Resource::trial"):
            return list((resource.get("outputs") or {}).get("refused") or [])
    return []


def told(history: History, refused: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All entries, newest first, each with its `release`, `state` and `reason`."""
    entries = [*history.entries, *refused]
    newest_first = sorted(entries, key=lambda entry: str(entry["at"]), reverse=True)
    return list(_with_states(newest_first, history))


def _with_states(entries: list[dict[str, Any]], history: History) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for entry in entries:
        release = entry.get("release") or entry["manifest"]["id"]
        state, reason = "", entry["order"]["reason"]
        if entry.get("refusal"):
            state, reason = "refused", why(entry["refusal"])
        elif release not in seen:
            seen.add(release)
            state, reason = _state_of(release, history, reason)
        yield {**entry, "release": release, "state": state, "reason": reason}


def _state_of(release: str, history: History, reason: str) -> tuple[str, str]:
    if release == history.live:
        return "live", reason
    if (taken_out := history.rolled_back.get(release)) is not None:
        return "rolled back", f"{taken_out}, to {taken_out.to}"
    return ("kept", reason) if release in history.running else ("", reason)


def why(refusal: list[str]) -> str:
    """The first thing that was wrong, of a refusal's lines."""
    return next((line.strip() for line in refusal if line.startswith("  ")), refusal[0])


def row(entry: dict[str, Any]) -> tuple[str, ...]:
    """One line on a release, what matters most first: a narrow terminal cuts off the rest."""
    checks = {check["name"]: check for report in entry["gate"] for check in report["checks"]}
    return (
        entry["release"],
        entry["state"],
        entry["at"][:16].replace("T", " "),
        *(figure(checks.get(name)) for name in _FIGURES),
        entry["by"],
        entry["commit"],
        entry["manifest"]["image"] if "manifest" in entry else "",
        cell(entry["reason"]),
    )


def figure(check: dict[str, Any] | None) -> str:
    """A measured value in short: a share in per cent, a time in its unit."""
    value = None if check is None else check.get("value")  # the state does not keep what is null
    if check is None or not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return f"{value:.0f} {check['unit']}" if check["unit"] else f"{value:.2%}"
