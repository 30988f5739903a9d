"""A long series made short for a plot without losing what stands out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

Point = tuple[float, float | None]
"""A time and a value; None where nothing was measured."""


def thinned(points: Sequence[Point], columns: int) -> list[Point]:
    """*points*, which are in order of time, with at most two in each of *columns* equal spans of time.

    Each span keeps its lowest and its highest point, so a peak of one second in an hour is still there; a
    span without any value keeps its gap. A series that is short enough is left as it is.
    """
    if len(points) <= 2 * columns:
        return list(points)
    first, length = points[0][0], points[-1][0] - points[0][0]
    kept: list[Point] = []
    for _, span in groupby(points, key=lambda point: _column(point[0] - first, length, columns)):
        kept += _extremes(list(span))
    return kept


def _column(since: float, length: float, columns: int) -> int:
    return min(columns - 1, int(since / length * columns)) if length else 0


def _extremes(span: Sequence[Point]) -> list[Point]:
    measured = [(value, index) for index, (_, value) in enumerate(span) if value is not None]
    if not measured:
        return [span[0]]
    return [span[index] for index in sorted({min(measured)[1], max(measured)[1]})]
