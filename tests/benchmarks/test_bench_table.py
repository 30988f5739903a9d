"""The table: what a person reads."""

from __future__ import annotations

import io

from bench_kit import drain, latency, load, report, samples
from rich.console import Console

from benchmarks import memory, webhooks
from benchmarks.checks import checks_of
from benchmarks.report import BenchReport
from benchmarks.table import show_report
from contracts.targets import Bench

TARGETS = Bench(
    times_reference=8, p99_ms=20, memory_growth=0.05, memory_growth_mb=5, worker_per_s=1000, times_jq=10
)


def shown(found: BenchReport) -> list[str]:
    """The lines that are printed."""
    text = io.StringIO()
    judged = found.model_copy(update={"checks": checks_of(found, TARGETS)})
    show_report(judged, Console(file=text, width=120))
    return text.getvalue().splitlines()


def line(lines: list[str], start: str) -> str:
    """The one line that starts so, its blanks as one."""
    (found,) = [each for each in lines if each.startswith(start)]
    return " ".join(found.split())


def test_each_part_has_its_figures_target_and_verdict() -> None:
    """Reference and ours side by side, met or not said in words."""
    lines = shown(
        report(
            webhooks=webhooks.summary(
                {"reference": [load(1000)], "tuned": [load(1500)], "ours": [load(8500)]}
            ),
            latency=latency(25.0),
            memory=memory.summary(load(1000), samples([80, 80, 81])),
            worker=drain(400),
        )
    )
    assert line(lines, "webhooks per second  ") == "webhooks per second 1,000 1,500 8,500 8.50 8 times met"
    assert line(lines, "  p99  ") == "p99 3.00 ms 25.00 ms 8.33 < 20 ms not met"
    assert line(lines, "memory over").endswith("80.0 → 81.0 MB +5 MB at most met")
    assert line(lines, "worker, 5,000 messages").endswith("400 1000 not met")


def test_parts_that_were_left_out_have_no_row() -> None:
    """And the machine is named all the same."""
    lines = shown(report(worker=drain(1200)))
    assert not [each for each in lines if "webhooks" in each]
    assert any("ext4, a sync takes 0.2 ms" in each for each in lines)
