"""A plot over time as coordinates: what a template needs to write it as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, groupby
from typing import Literal

from infra.release_page.figures import figure, span
from infra.release_page.scales import Linear, Logarithmic, Scale, time_ticks
from infra.release_page.thinning import Point, thinned

WIDTH, HEIGHT = 380, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 18, 22
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
"""In units of the SVG; the template shows one as about one CSS pixel."""

_COLUMNS = 2 * INNER_WIDTH  # a screen may have two pixels for one of CSS
_MOST_NOTES = 180
_ENDS: tuple[Literal["right", "left"], ...] = ("right", "left")


@dataclass(frozen=True)
class Line:
    """One quantity over time, points in order of time in s; `kind` is how the style sheet draws it."""

    name: str
    kind: str
    points: list[Point]
    filled: bool = False

    @property
    def values(self) -> list[float]:
        """What was measured."""
        return [value for _, value in self.points if value is not None]


@dataclass(frozen=True)
class Limit:
    """What the values are held against."""

    name: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Lines over one axis of time and one of values in `unit`; the first line lies on top."""

    title: str
    unit: str
    lines: list[Line]
    limits: list[Limit]
    logarithmic: bool = False

    @property
    def measured(self) -> list[Line]:
        """The lines that have a value at all."""
        return [line for line in self.lines if line.values]


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in SVG units, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True)
class Path:
    """A line as SVG path data; `area` is the surface under it, where it is filled."""

    name: str
    kind: str
    data: str
    area: str
    summary: str


@dataclass(frozen=True)
class LimitLine:
    """A limit's height, and at which end of it its label stands: two limits may be close together."""

    y: float
    label: str
    end: Literal["right", "left"]


@dataclass(frozen=True)
class Note:
    """What was measured at one time, for the strip of the plot that shows it."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Plot:
    """A chart laid out; `axis` is what its values are in, `description` says in words what it shows."""

    title: str
    axis: str
    description: str
    paths: list[Path]
    limits: list[LimitLine]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    notes: list[Note]


@dataclass(frozen=True)
class _Area:
    """From time and value to SVG units."""

    length_s: float
    scale: Scale

    def x(self, time: float) -> float:
        return round(LEFT + INNER_WIDTH * time / self.length_s, 1)

    def y(self, value: float) -> float:
        return round(TOP + INNER_HEIGHT * (1 - self.scale.place(value)), 1)


def laid_out(chart: Chart) -> Plot | None:
    """*chart* as coordinates; None when nothing of it was measured."""
    if not chart.measured:
        return None
    values = [value for line in chart.measured for value in line.values]
    values += [limit.value for limit in chart.limits]
    length_s = max(line.points[-1][0] for line in chart.measured) or 1.0
    area = _Area(length_s, (Logarithmic if chart.logarithmic else Linear).over(values))
    return Plot(
        title=chart.title,
        axis=", ".join(filter(None, [chart.unit, "logarithmic" if chart.logarithmic else ""])),
        description=_description(chart, length_s),
        paths=[_path(line, chart.unit, area) for line in chart.measured],
        limits=list(_limit_lines(chart, area)),
        x_ticks=[Tick(area.x(time), label) for time, label in time_ticks(length_s)],
        y_ticks=[Tick(area.y(value), figure(value, "")) for value in area.scale.ticks],
        notes=_notes(chart, area),
    )


def _path(line: Line, unit: str, area: _Area) -> Path:
    runs = list(_runs(thinned(line.points, _COLUMNS)))
    drawn = [" ".join(f"{area.x(time):g},{area.y(value):g}" for time, value in run) for run in runs]
    foot = TOP + INNER_HEIGHT
    return Path(
        name=line.name,
        kind=line.kind,
        # A run of one point has no length: the round ends of a stroke make it a dot.
        data="".join(
            f"M{points}" + ("h0" if len(run) == 1 else "") for points, run in zip(drawn, runs, strict=True)
        ),
        area="".join(
            f"M{area.x(run[0][0]):g},{foot} {points} {area.x(run[-1][0]):g},{foot}Z"
            for points, run in zip(drawn, runs, strict=True)
        )
        if line.filled
        else "",
        summary=_range(line, unit),
    )


def _runs(points: Iterable[Point]) -> Iterator[list[tuple[float, float]]]:
    """The stretches without a gap."""
    for there, run in groupby(points, key=lambda point: point[1] is not None):
        if there:
            yield [(time, value) for time, value in run if value is not None]


def _limit_lines(chart: Chart, area: _Area) -> Iterator[LimitLine]:
    for limit, end in zip(chart.limits, cycle(_ENDS)):
        yield LimitLine(area.y(limit.value), f"{limit.name} {figure(limit.value, chart.unit)}", end)


def _notes(chart: Chart, area: _Area) -> list[Note]:
    """A strip for each time, as wide as the way to the next; none where they would be too narrow to hit."""
    measured: dict[float, list[str]] = {}
    for line in chart.measured:
        for time, value in line.points:
            if value is not None:
                measured.setdefault(time, []).append(f"{line.name} {figure(value, chart.unit)}")
    if len(measured) > _MOST_NOTES:
        return []
    width = INNER_WIDTH / max(1, len(measured) - 1)
    return [
        Note(
            round(max(LEFT, area.x(time) - width / 2), 1),
            round(width, 1),
            f"{span(time)}: {', '.join(texts)}",
        )
        for time, texts in sorted(measured.items())
    ]


def _description(chart: Chart, length_s: float) -> str:
    lines = [f"{line.name}: {_range(line, chart.unit)}." for line in chart.measured]
    limits = [f"{limit.name}: {figure(limit.value, chart.unit)}." for limit in chart.limits]
    return " ".join([f"Over {span(length_s)}.", *lines, *limits])


def _range(line: Line, unit: str) -> str:
    low, high = min(line.values), max(line.values)
    return figure(high, unit) if low == high else f"{figure(low, '')} to {figure(high, unit)}"
