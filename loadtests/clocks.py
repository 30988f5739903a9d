"""The two clocks of a process read as one moment: what one shows can be told in the other's terms."""

from __future__ import annotations

import time

_READINGS = 3


def wall_ahead_s() -> float:
    """How far `time.time` is ahead of `time.monotonic`.

    A process that is put aside between the two would find too much: the reading that took least counts.
    """
    readings = []
    for _ in range(_READINGS):
        before_s, wall_s, after_s = time.monotonic(), time.time(), time.monotonic()
        readings.append((after_s - before_s, wall_s - (before_s + after_s) / 2))
    return min(readings)[1]
