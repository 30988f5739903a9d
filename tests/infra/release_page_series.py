"""What suites measure over time, as they write it. The same at each run."""

from __future__ import annotations

import math
import random
from typing import Any

RELEASE = "r-3f2a9c1"
SCENARIOS = (("steady", 50, 60), ("burst", 80, 60), ("duplicates", 50, 60))
"""Name, webhooks each second, seconds."""


def load_series(*, failing_from: int | None = None) -> dict[str, Any]:
    """Three scenarios of a minute; from second *failing_from* of the first on, some fail and all wait."""
    chance = random.Random(7)
    return {
        "scenarios": [
            {
                "name": name,
                "start": f"2026-11-24T12:3{6 + index}:02+00:00",
                "seconds": [
                    second_of(chance, t, name, rate, failing_from if name == "steady" else None)
                    for t in range(length)
                ],
            }
            for index, (name, rate, length) in enumerate(SCENARIOS)
        ]
    }


def second_of(
    chance: random.Random, t: int, name: str, rate: int, failing_from: int | None
) -> dict[str, Any]:
    """One second: log-normal times, a burst that begins high and drains, a live release beside `steady`."""
    failing = failing_from is not None and t >= failing_from
    waiting = 40 * math.exp(-t / 7) if name == "burst" else 3.5 if failing else 1.0
    p50 = 3.3 * max(1.0, waiting) * chance.lognormvariate(0, 0.06)
    p95 = p50 * chance.uniform(1.9, 2.5)
    live = 3.25 * chance.lognormvariate(0, 0.06)
    beside = {"p50": live, "p95": live * chance.uniform(1.9, 2.4), "max": live * chance.uniform(2.6, 9)}
    return {
        "t": t,
        "sent": 300 if name == "burst" and t == 0 else rate,
        "failed": chance.choice((1, 2, 3, 4)) if failing else 0,
        "p50_ms": round(p50, 3),
        "p95_ms": round(p95, 3),
        "max_ms": round(p95 * (1.1 + chance.lognormvariate(-1, 0.9)), 3),
        "reply_p95_ms": round(p95 * 2 + chance.uniform(0, 3), 3),
        **{f"baseline_{part}_ms": round(ms, 3) if name == "steady" else None for part, ms in beside.items()},
    }


def containers_series() -> dict[str, Any]:
    """Two web containers that level off and a worker, each second for three minutes."""
    chance = random.Random(11)

    def container(role: str, number: int, start_mb: float, gained_mb: float) -> dict[str, Any]:
        grown = [start_mb + gained_mb * (1 - math.exp(-t / 30)) + chance.uniform(0, 0.9) for t in range(180)]
        return {
            "name": f"runbook-prod-{role}-{number}-{RELEASE}",
            "role": role,
            "samples": [{"t": float(t), "memory_mb": round(mb, 1)} for t, mb in enumerate(grown)],
            "limit_mb": 256,
        }

    return {
        "containers": [
            container("web", 1, 58, 12),
            container("web", 2, 55, 11),
            container("worker", 1, 64, 9),
        ]
    }
