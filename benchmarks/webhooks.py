"""Webhooks per second: the reference and the service by turns, each on a fresh Redis."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.load import CONNECTIONS, Generator
from benchmarks.progress import Say
from benchmarks.report import SIDES, Load, Side, Webhooks
from benchmarks.servers import SERVE, data_folder
from benchmarks.sizes import Sizes


def measure_webhooks(within: Path, sizes: Sizes, say: Say) -> Webhooks:
    """As many rounds of both sides as *sizes* says, and what they come to."""
    rounds: dict[Side, list[Load]] = {side: [] for side in SIDES}
    for number in range(1, sizes.rounds + 1):
        for side in SIDES:
            load = take_most(within, side, sizes)
            rounds[side].append(load)
            say(f"webhooks, round {number} of {sizes.rounds}: {side} {load.per_second:,.0f}/s")
    return summary(rounds)


def take_most(within: Path, side: Side, sizes: Sizes) -> Load:
    """One round of one side."""
    with data_folder(within) as folder, SERVE[side](folder) as served:
        generator = Generator(served.web.port, [served.web, served.redis])
        return Load.model_validate(generator.closed(seconds=sizes.seconds, warm_up_s=sizes.warm_up_s))


def summary(rounds: dict[Side, list[Load]]) -> Webhooks:
    """What *rounds*, taken by turns, come to."""
    ratios, tuned = _ratios(rounds, "reference"), _ratios(rounds, "tuned")
    return Webhooks(
        connections=CONNECTIONS,
        rounds=rounds,
        per_second={
            side: statistics.median(load.per_second for load in loads) for side, loads in rounds.items()
        },
        ratio=statistics.median(ratios),
        ratio_range=(min(ratios), max(ratios)),
        tuned_ratio=statistics.median(tuned),
    )


def _ratios(rounds: dict[Side, list[Load]], side: Side) -> list[float]:
    """Ours to *side*, round by round."""
    pairs = zip(rounds["ours"], rounds[side], strict=True)
    return [ours.per_second / theirs.per_second for ours, theirs in pairs]
