"""Exact percentiles, from the samples themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence


def rank(count: int, share: float) -> int:
    """How many of *count* samples lie at or below the *share* percentile (nearest rank; at least one)."""
    return max(math.ceil(share * count - 1e-9), 1)


def percentile(samples: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: a value that was measured, never one in between; None without samples."""
    return sorted(samples)[rank(len(samples), share) - 1] if samples else None
