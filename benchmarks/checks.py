"""What was found, held against `[bench]` of targets.toml."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import BenchReport, Drain, Latency, LogQuery, Memory, Webhooks
from contracts.targets import Bench
from contracts.verdict import Check, Verdict

GENERATOR_BOUND = 0.9
"""Above this share of a core the generator may be what was measured."""

QUIET = 0.25
"""What the rest of the machine may use, in shares of a core, without a word about it."""


def checks_of(report: BenchReport, targets: Bench) -> list[Check]:
    """One check for each part that was measured."""
    return list(_checks(report, targets))


def _checks(report: BenchReport, targets: Bench) -> Iterator[Check]:
    if report.webhooks:
        yield _webhooks(report.webhooks, targets)
    if report.latency:
        yield _latency(report.latency, targets)
    if report.memory:
        yield _memory(report.memory, targets)
    if report.worker:
        yield _worker(report.worker, targets)
    if report.logs:
        yield _logs(report.logs, targets)


def _webhooks(found: Webhooks, targets: Bench) -> Check:
    low, high = found.ratio_range
    notes = [f"rounds from {low:.2f} to {high:.2f}; {found.tuned_ratio:.2f} times the tuned reference"]
    others = max(load.cpu["others"] for loads in found.rounds.values() for load in loads)
    if others > QUIET:
        notes.append(f"disturbed: others used up to {others:.0%} of a core")
    if any(load.cpu["generator"] > GENERATOR_BOUND for load in found.rounds["ours"]):
        notes.append("generator-bound")
    return Check(
        name="webhooks per second",
        verdict=_met(found.ratio >= targets.times_reference),
        value=round(found.ratio, 2),
        limit=targets.times_reference,
        unit="times the reference",
        samples=len(found.rounds["ours"]),
        detail=", ".join(notes),
    )


def _latency(found: Latency, targets: Bench) -> Check:
    p99_ms = found.latency_ms["ours"]["p99"]
    rounds = found.rounds["ours"]
    late = sum(load.late for load in rounds) / sum(load.answered for load in rounds)
    return Check(
        name="p99 at half of that",
        verdict=_met(p99_ms < targets.p99_ms),
        value=round(p99_ms, 2),
        limit=targets.p99_ms,
        unit="ms",
        samples=sum(load.answered for load in rounds),
        detail=f"{late:.2%} sent more than {rounds[0].late_after_ms:g} ms late, which counts",
    )


def _memory(found: Memory, targets: Bench) -> Check:
    rss = found.rss_mb
    allowed_mb = max(rss.at_tenth * targets.memory_growth, targets.memory_growth_mb)
    growth_mb = rss.last - rss.at_tenth
    return Check(
        name="memory growth of the web process",
        verdict=_met(growth_mb <= allowed_mb),
        value=round(growth_mb, 2),
        limit=round(allowed_mb, 2),
        unit="MB",
        samples=len(found.samples),
        detail=f"from a tenth of the {found.load.answered:,} webhooks to the last",
    )


def _worker(found: Drain, targets: Bench) -> Check:
    return Check(
        name="messages per second of a worker",
        verdict=_met(found.per_second >= targets.worker_per_s),
        value=round(found.per_second),
        limit=targets.worker_per_s,
        unit="per second",
        samples=found.messages,
        detail="each answered once",
    )


def _logs(found: LogQuery, targets: Bench) -> Check:
    low, high = found.ratio_range
    return Check(
        name="log lines, failed webhooks of an hour",
        verdict=_met(found.ratio >= targets.times_jq),
        value=round(found.ratio, 2),
        limit=targets.times_jq,
        unit="times jq",
        samples=len(found.rounds["ours"]),
        detail=f"rounds from {low:.2f} to {high:.2f}; {found.megabytes:g} MB, each program's start included",
    )


def _met(condition: bool) -> Verdict:
    return Verdict.PASS if condition else Verdict.FAIL
