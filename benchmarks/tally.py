"""What a generator counted in a span of time."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass
class Tally:
    """Statuses and latencies (s) of the answers since `began`, and the processor time spent meanwhile."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    began: float = field(default_factory=time.perf_counter)
    cpu_began: float = field(default_factory=time.process_time)

    def add(self, status: int, latency_s: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.latencies_s.append(latency_s)

    def result(self) -> dict[str, Any]:
        """The figures as JSON: `seconds`, `answered`, `per_second`, `statuses`, `cpu_share`, `latency_ms`."""
        seconds = time.perf_counter() - self.began
        answered = len(self.latencies_s)
        return {
            "seconds": seconds,
            "answered": answered,
            "per_second": answered / seconds,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "cpu_share": (time.process_time() - self.cpu_began) / seconds,
            "latency_ms": percentiles_ms(self.latencies_s),
        }


def percentiles_ms(latencies_s: array[float]) -> dict[str, float]:
    """Nearest-rank percentiles: each is a latency that occurred. None of them where there was no answer."""
    if not latencies_s:
        return {}
    values = np.quantile(np.frombuffer(latencies_s), list(PERCENTILES.values()), method="inverted_cdf")
    return {name: round(value * 1000, 3) for name, value in zip(PERCENTILES, values.tolist(), strict=True)}
