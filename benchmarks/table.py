"""A report as a person reads it: reference and service side by side, the target, and whether it is met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.report import BenchReport, Course, Drain, Latency, LogQuery, Memory, Webhooks
from contracts.verdict import Check, Verdict

_COLUMNS = ("", "reference", "tuned", "ours", "ratio", "target", "")
_WORDS = {Verdict.PASS: "[green]met[/]", Verdict.FAIL: "[red]not met[/]", Verdict.NO_EVIDENCE: "no evidence"}

Row = tuple[str, ...]


def show_report(report: BenchReport, console: Console) -> None:
    """Print the table, what stands behind it, and the machine."""
    checks = {check.name: check for check in report.checks}
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if 0 < number < len(_COLUMNS) - 1 else "left")
    for row in rows_of(report, checks):
        table.add_row(*row)
    console.print(table)
    for check in report.checks:
        console.print(f"{check.name}: {check.detail}", style="dim", highlight=False)
    for line in notes_of(report):
        console.print(line, style="dim", highlight=False)


def rows_of(report: BenchReport, checks: Mapping[str, Check]) -> Iterator[Row]:
    """The table's rows, for the parts that were measured."""
    if report.webhooks:
        yield _webhooks_row(report.webhooks, checks["webhooks per second"])
    if report.latency:
        yield from _latency_rows(report.latency, checks["p99 at half of that"])
    if report.memory:
        yield _memory_row(report.memory, checks["memory growth of the web process"])
    if report.worker:
        yield _worker_row(report.worker, checks["messages per second of a worker"])
    if report.logs:
        yield _logs_row(report.logs, checks["log lines, failed webhooks of an hour"])


def notes_of(report: BenchReport) -> Iterator[str]:
    """The course of the memory, who used the processor, and the machine."""
    if report.memory:
        yield f"memory, resident: {_course(report.memory.rss_mb)}"
        yield f"memory, its own: {_course(report.memory.uss_mb)}"
    if report.webhooks:
        for side, loads in report.webhooks.rounds.items():
            yield f"processor, {side}: {_shares(loads[-1].cpu)}"
    if report.worker:
        yield f"processor, worker: {_shares(report.worker.cpu)}"
    machine = report.machine
    yield (
        f"{machine.cores} cores, {machine.cpu}, {machine.file_system}, a sync takes {machine.sync_ms:g} ms; "
        f"commit {machine.commit}"
    )


def _webhooks_row(found: Webhooks, check: Check) -> Row:
    per_second = found.per_second
    return (
        "webhooks per second",
        f"{per_second['reference']:,.0f}",
        f"{per_second['tuned']:,.0f}",
        f"{per_second['ours']:,.0f}",
        f"{found.ratio:.2f}",
        f"{check.limit:g} times",
        _WORDS[check.verdict],
    )


def _latency_rows(found: Latency, check: Check) -> Iterator[Row]:
    rates = [f"{found.rounds[side][0].rate:,.0f}/s" for side in ("reference", "ours")]
    yield ("at half of that", rates[0], "", rates[1], "", "", "")
    for name, reference_ms in found.latency_ms["reference"].items():
        ours_ms = found.latency_ms["ours"][name]
        target = (f"< {check.limit:g} ms", _WORDS[check.verdict]) if name == "p99" else ("", "")
        yield (
            f"  {name}",
            f"{reference_ms:.2f} ms",
            "",
            f"{ours_ms:.2f} ms",
            f"{ours_ms / reference_ms:.2f}",
            *target,
        )


def _memory_row(found: Memory, check: Check) -> Row:
    return (
        f"memory over {found.load.answered:,} webhooks",
        "",
        "",
        f"{found.rss_mb.at_tenth:.1f} → {found.rss_mb.last:.1f} MB",
        "",
        f"+{check.limit:g} MB at most",
        _WORDS[check.verdict],
    )


def _worker_row(found: Drain, check: Check) -> Row:
    return (
        f"worker, {found.messages:,} messages, per second",
        "",
        "",
        f"{found.per_second:,.0f}",
        "",
        f"{check.limit:g}",
        _WORDS[check.verdict],
    )


def _logs_row(found: LogQuery, check: Check) -> Row:
    return (
        f"a question to {found.lines:,} log lines",
        f"jq {found.median_s['jq']:.2f} s",
        "",
        f"{found.median_s['ours']:.2f} s",
        f"{found.ratio:.2f}",
        f"{check.limit:g} times",
        _WORDS[check.verdict],
    )


def _course(mb: Course) -> str:
    figures = (
        f"{mb.at_tenth:.1f} MB at a tenth, median {mb.median:.1f}, last {mb.last:.1f}, peak {mb.peak:.1f}"
    )
    return f"{figures}; {mb.slope:+.2f} MB for each 100,000 webhooks"


def _shares(cpu: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in cpu.items()) + " of a core"
