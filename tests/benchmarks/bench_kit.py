"""Figures as a run would find them, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any

from benchmarks.report import BenchReport, Drain, Latency, Load, Machine, MemorySample, PacedLoad
from benchmarks.sizes import SHORT

MACHINE = Machine(
    cores=2,
    cpu="a processor",
    memory_mb=8_000,
    kernel="6.1",
    file_system="ext4",
    sync_ms=0.2,
    versions={"python": "3.11"},
    commit="abc",
)
LATENCIES_MS = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "p99.9": 4.0, "max": 5.0}


def load(per_second: float, *, generator: float = 0.2) -> Load:
    """A round that found *per_second*."""
    return Load(
        seconds=10,
        answered=round(per_second * 10),
        per_second=per_second,
        statuses={"202": round(per_second * 10)},
        latency_ms=LATENCIES_MS,
        cpu={"web": 0.9, "redis": 0.4, "generator": generator, "others": 0.1},
    )


def paced(p99_ms: float, *, late: int = 0) -> PacedLoad:
    """A round at a fixed rate that found *p99_ms*."""
    fields = load(1000).model_dump() | {"latency_ms": LATENCIES_MS | {"p99": p99_ms}}
    return PacedLoad(**fields, rate=1000, late=late, late_after_ms=5, worst_late_ms=7)


def latency(p99_ms: float) -> Latency:
    """Both sides at half of what they take; ours found *p99_ms*."""
    return Latency(
        rounds={"reference": [paced(3.0)], "ours": [paced(p99_ms)]},
        latency_ms={"reference": LATENCIES_MS, "ours": LATENCIES_MS | {"p99": p99_ms}},
    )


def samples(memory_mb: list[float]) -> list[MemorySample]:
    """A sample each 10,000 webhooks."""
    return [
        MemorySample(webhooks=number * 10_000, rss_mb=mb, uss_mb=mb - 20)
        for number, mb in enumerate(memory_mb, start=1)
    ]


def drain(per_second: float) -> Drain:
    """A backlog answered at *per_second*."""
    return Drain(
        messages=5000, requests=20_000, seconds=5000 / per_second, per_second=per_second, cpu={"worker": 1.0}
    )


def report(**parts: Any) -> BenchReport:
    """A report of these *parts*."""
    return BenchReport(began="2026-11-24T12:00:00+00:00", sizes=SHORT, machine=MACHINE, **parts)
