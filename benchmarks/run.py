"""A whole run: the parts asked for, one after another, and what they come to."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from benchmarks.checks import checks_of
from benchmarks.drain import measure_drain
from benchmarks.latency import measure_latency
from benchmarks.logs import measure_logs
from benchmarks.machine import read_machine
from benchmarks.memory import measure_memory
from benchmarks.progress import Say
from benchmarks.report import BenchReport, Webhooks
from benchmarks.sizes import Sizes
from benchmarks.webhooks import measure_webhooks
from contracts.targets import Bench


class Part(StrEnum):
    """What can be measured."""

    WEBHOOKS = "webhooks"
    LATENCY = "latency"
    MEMORY = "memory"
    WORKER = "worker"
    LOGS = "logs"


def run(parts: set[Part], sizes: Sizes, targets: Bench, *, folder: Path, say: Say) -> BenchReport:
    """Measure *parts* with data in *folder*. Latency needs the capacity, and so the webhooks.

    Raises:
        BenchError: a part has no figures; those before it are lost with it.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    machine = read_machine(folder)
    webhooks: Webhooks | None = None
    if parts & {Part.WEBHOOKS, Part.LATENCY}:
        webhooks = measure_webhooks(folder, sizes, say)
    report = BenchReport(
        began=began,
        sizes=sizes,
        machine=machine,
        webhooks=webhooks,
        latency=measure_latency(folder, webhooks.per_second, sizes, say)
        if webhooks and Part.LATENCY in parts
        else None,
        memory=measure_memory(folder, sizes, say) if Part.MEMORY in parts else None,
        worker=measure_drain(folder, sizes, say) if Part.WORKER in parts else None,
        logs=measure_logs(folder, sizes, say) if Part.LOGS in parts else None,
    )
    return report.model_copy(update={"checks": checks_of(report, targets)})
