"""Webhooks per second: the reference and the service by turns, each on a fresh Redis."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load import Figures, measure
from benchmarks.servers import SIDES, data_folder

WARM_UP_S = 2.0
CONNECTIONS = 32
Report = dict[str, Any]


def run(folder: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> Report:
    """*rounds* rounds of *seconds* a side, and what they come to."""
    found: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for number in range(1, rounds + 1):
        for side in SIDES:
            figures = _round(folder, side, seconds)
            found[side].append(figures)
            say(f"webhooks, round {number} of {rounds}: {side} {figures['per_second']:,.0f}/s")
    return {"connections": CONNECTIONS, "seconds": seconds, "rounds": found, **summary(found)}


def summary(found: dict[str, list[Figures]]) -> Report:
    """The median of each side, and the ratio of the sides round by round."""
    per_second = {side: [figures["per_second"] for figures in rounds] for side, rounds in found.items()}
    ratios = [ours / plain for ours, plain in zip(per_second["ours"], per_second["reference"], strict=True)]
    return {
        "per_second": {side: statistics.median(values) for side, values in per_second.items()},
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def _round(within: Path, side: str, seconds: float) -> Figures:
    options = ["--connections", str(CONNECTIONS), "--seconds", str(seconds), "--warm-up", str(WARM_UP_S)]
    with data_folder(within) as folder, SIDES[side](folder) as served:
        return measure("closed", served.web.port, *options, watched=[served.web, served.redis])
