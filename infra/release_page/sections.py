"""A section for each suite: its verdict, its checks, its plots, and its log if it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from contracts.verdict import Report, Verdict
from infra.release_page.check_rows import Row, rows
from infra.release_page.evidence import SUITES, Evidence
from infra.release_page.figures import count, moment, span
from infra.release_page.load_charts import charts, is_alone
from infra.release_page.memory_charts import memory_charts
from infra.release_page.plot import Chart, Plot, laid_out
from infra.release_page.records import Scenario
from infra.release_page.second_table import Table, second_table

State = Literal["pass", "fail", "no evidence", "not run", "damaged"]

_TITLES = {
    "smoke": "Smoke",
    "load": "Load",
    "containers": "Containers",
    "traffic": "Traffic",
}
_SUBJECTS = {
    "smoke": "Does it answer, refuse and report as it should?",
    "load": "Does it bear what will come?",
    "containers": "What did its processes need?",
    "traffic": "Was anything lost when the traffic moved?",
}


@dataclass(frozen=True)
class PlotGroup:
    """Plots that share one time axis, and their figures."""

    title: str
    facts: str
    plots: list[Plot]
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """All about one suite. `key` is one of `SUITES`; `note` says what there is instead of checks."""

    key: str
    title: str
    subject: str
    state: State
    note: str
    tally: str
    duration: str
    not_passed: list[Row] = field(default_factory=list)
    passed: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    groups: list[PlotGroup] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


def sections(found: Evidence) -> list[Section]:
    """The suites in the order in which they run, those that did not run too."""
    return [_section(suite, found) for suite in SUITES]


def _section(suite: str, found: Evidence) -> Section:
    report = found.reports.get(suite)
    lines = rows(report.checks) if report else []
    state, note = _state(suite, found)
    return Section(
        key=suite,
        title=_TITLES[suite],
        subject=_SUBJECTS[suite],
        state=state,
        note=note,
        tally=_tally(suite, report) if report else "",
        duration=span(report.duration_s) if report else "",
        not_passed=[line for line in lines if line.verdict is not Verdict.PASS],
        passed=[line for line in lines if line.verdict is Verdict.PASS],
        left_out=report.left_out if report else [],
        groups=_plots(suite, found),
        log=found.logs.get(suite, []) if _failed(suite, found) else [],
    )


def _state(suite: str, found: Evidence) -> tuple[State, str]:
    if report := found.reports.get(suite):
        return report.verdict.value, "" if report.checks else "The report has no check."
    if damage := found.damage(f"{suite}.json"):
        return "damaged", f"{damage.file} is damaged: {damage.why}"
    if suite in found.logs:
        return "no evidence", f"{suite} began and left no report; its log is below."
    return "not run", f"Not run: there is no {suite}.json."


def _tally(suite: str, report: Report) -> str:
    """How many passed, and of which form of the suite, if it has a name of its own: `smoke, short`."""
    passed = len(report.checks) - len(report.not_passed)
    form = "" if report.suite == suite else f"{report.suite}: "
    return f"{form}{passed:,} of {count(len(report.checks), 'check')} passed"


def _failed(suite: str, found: Evidence) -> bool:
    """Whether it did not pass: by its own report, for want of one, or by the release's refusal."""
    report = found.reports.get(suite)
    named = any(
        re.match(rf"gate: {suite}\b", line) for line in (found.release.refusal if found.release else [])
    )
    return report is None or report.verdict is not Verdict.PASS or named


def _plots(suite: str, found: Evidence) -> list[PlotGroup]:
    if suite == "load" and found.load:
        alone, report = is_alone(found.load), found.reports.get("load")
        return [_group(scenario, charts(scenario, report, alone=alone)) for scenario in found.load.scenarios]
    if suite == "containers" and found.containers:
        plots = _laid_out(memory_charts(found.containers))
        return [PlotGroup("Memory", "", plots)] if plots else []
    return []


def _group(scenario: Scenario, drawn: list[Chart]) -> PlotGroup:
    sent = sum(second.sent or 0 for second in scenario.seconds)
    failed = sum(second.failed or 0 for second in scenario.seconds)
    facts = [
        f"from {moment(scenario.start)}" if scenario.start else "",
        f"{len(scenario.seconds):,} s",
        f"{sent:,.0f} webhooks sent",
        f"{failed:,.0f} failed",
    ]
    return PlotGroup(
        f"Scenario {scenario.name}", ", ".join(filter(None, facts)), _laid_out(drawn), second_table(scenario)
    )


def _laid_out(charts_to_draw: list[Chart]) -> list[Plot]:
    return [plot for chart in charts_to_draw if (plot := laid_out(chart))]
