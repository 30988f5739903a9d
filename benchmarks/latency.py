"""Latency at half of what each side takes, from the time at which each webhook was due."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from benchmarks.load import Generator
from benchmarks.progress import Say
from benchmarks.report import Latency, PacedLoad, Side
from benchmarks.servers import SERVE, data_folder
from benchmarks.sizes import Sizes

SIDES: tuple[Side, ...] = ("reference", "ours")


def measure_latency(within: Path, capacity: Mapping[Side, float], sizes: Sizes, say: Say) -> Latency:
    """Rounds of both sides by turns, each at half of its *capacity* (webhooks per second)."""
    rounds: dict[Side, list[PacedLoad]] = {side: [] for side in SIDES}
    for number in range(1, sizes.rounds + 1):
        for side in SIDES:
            load = _pace(within, side, capacity[side] / 2, sizes)
            rounds[side].append(load)
            figures = f"p99 {load.latency_ms['p99']:.1f} ms at {load.rate:,.0f}/s"
            say(f"latency, round {number} of {sizes.rounds}: {side} {figures}")
    return summary(rounds)


def summary(rounds: dict[Side, list[PacedLoad]]) -> Latency:
    """What *rounds* come to."""
    return Latency(
        rounds=rounds,
        latency_ms={
            side: {
                name: statistics.median(load.latency_ms[name] for load in loads)
                for name in loads[0].latency_ms
            }
            for side, loads in rounds.items()
        },
    )


def _pace(within: Path, side: Side, rate: float, sizes: Sizes) -> PacedLoad:
    with data_folder(within) as folder, SERVE[side](folder) as served:
        generator = Generator(served.web.port, [served.web, served.redis])
        figures = generator.open(rate=rate, seconds=sizes.seconds, warm_up_s=sizes.warm_up_s)
        return PacedLoad.model_validate(figures)
