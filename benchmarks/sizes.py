"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Of the loads, of the run over which memory is watched, of the worker's backlog, of the log lines."""

    rounds: int
    seconds: float
    warm_up_s: float
    memory_webhooks: int
    backlog: int
    log_lines: int


FULL = Sizes(
    rounds=5, seconds=10, warm_up_s=2, memory_webhooks=1_000_000, backlog=100_000, log_lines=1_000_000
)
SHORT = Sizes(rounds=1, seconds=4, warm_up_s=1, memory_webhooks=50_000, backlog=5_000, log_lines=100_000)
