"""Plots as geometry: nothing leaves the frame, no peak is lost, no gap is bridged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.release_page.plot import (
    INNER_HEIGHT,
    INNER_WIDTH,
    LEFT,
    TOP,
    Chart,
    Limit,
    Line,
    Plot,
    laid_out,
)
from infra.release_page.scales import Linear, Logarithmic, time_ticks
from infra.release_page.thinning import Point, thinned

VALUES = st.floats(0, 1e12)
SERIES = st.lists(st.tuples(st.floats(0, 1e8), st.none() | VALUES), max_size=300).map(
    lambda points: sorted(points, key=lambda point: point[0])
)


def chart(
    *points: Point, limits: tuple[float, ...] = (), logarithmic: bool = False, filled: bool = False
) -> Chart:
    """A chart of one line."""
    line = Line("p95", "p95", list(points), filled)
    return Chart("Answers", "ms", [line], [Limit("limit", value) for value in limits], logarithmic)


def drawn(of: Chart) -> Plot:
    """Its plot, which there must be."""
    plot = laid_out(of)
    assert plot
    return plot


def coordinates(data: str) -> list[tuple[float, float]]:
    """The points of path data."""
    return [
        (float(x), float(y))
        for x, y in re.findall(r"(-?[\d.]+(?:e[+-]?\d+)?),(-?[\d.]+(?:e[+-]?\d+)?)", data)
    ]


def test_the_frame_is_filled_from_corner_to_corner() -> None:
    """Time goes from left to right, values from the foot up, with room above the highest."""
    plot = drawn(chart((0, 0.0), (60, 100.0)))
    first, last = coordinates(plot.paths[0].data)
    assert first == (LEFT, TOP + INNER_HEIGHT)
    assert last[0] == LEFT + INNER_WIDTH
    assert TOP < last[1] < TOP + INNER_HEIGHT / 2


def test_lines_of_different_length_share_one_axis() -> None:
    """It is as long as the longest: a container that ended early has a line that ends early."""
    lines = [Line("a", "a", [(0, 1.0), (30, 1.0)]), Line("b", "b", [(0, 1.0), (60, 1.0)])]
    ends = [coordinates(path.data)[-1][0] for path in drawn(Chart("Memory", "MB", lines, [])).paths]
    assert ends == [LEFT + INNER_WIDTH / 2, LEFT + INNER_WIDTH]


def test_a_gap_is_not_bridged() -> None:
    """Where nothing was measured, no line is drawn; one point alone is a dot."""
    data = drawn(chart((0, 1.0), (1, 2.0), (2, None), (3, 5.0), (4, None), (5, 1.0), (6, 1.0))).paths[0].data
    runs = data.split("M")[1:]
    assert [len(coordinates(run)) for run in runs] == [2, 1, 2]
    assert [run.endswith("h0") for run in runs] == [False, True, False]


def test_a_filled_line_stands_on_the_foot() -> None:
    """Its surface begins and ends there."""
    area = coordinates(drawn(chart((0, 3.0), (10, 4.0), filled=True)).paths[0].area)
    assert [y for _, y in (area[0], area[-1])] == [TOP + INNER_HEIGHT] * 2
    assert not drawn(chart((0, 3.0), (10, 4.0))).paths[0].area


def test_a_limit_far_above_is_seen_with_small_values_legible() -> None:
    """On a logarithmic axis 3 ms and 4 ms are told apart under a limit of 3 s."""
    plot = drawn(chart((0, 3.0), (1, 4.0), limits=(3000.0,), logarithmic=True))
    three, four = (y for _, y in coordinates(plot.paths[0].data))
    assert three - four > 3
    assert TOP <= plot.limits[0].y < four
    assert plot.limits[0].label == "limit 3,000 ms"


def test_two_limits_are_written_at_two_ends() -> None:
    """However close they are, both can be read."""
    plot = drawn(chart((0, 3.0), (1, 4.0), limits=(1500.0, 1600.0), logarithmic=True))
    assert [limit.end for limit in plot.limits] == ["right", "left"]


def test_a_plot_is_told_in_words() -> None:
    """For those who cannot see it: over what time, in what range, under what limit."""
    plot = drawn(chart((0, 3.0), (60, 4.25), limits=(500.0,)))
    assert plot.description == "Over 1 min. p95: 3 to 4.25 ms. limit: 500 ms."


def test_each_time_has_a_note_with_all_its_values() -> None:
    """Side by side, and within the frame to its left."""
    lines = [Line("p50", "p50", [(0, 1.0), (1, 2.0)]), Line("p95", "p95", [(0, 3.0), (1, None)])]
    notes = drawn(Chart("Answers", "ms", lines, [])).notes
    assert [note.text for note in notes] == ["0 s: p50 1 ms, p95 3 ms", "1 s: p50 2 ms"]
    assert notes[0].x == LEFT
    assert notes[1].x == LEFT + INNER_WIDTH / 2


def test_a_long_series_has_no_notes() -> None:
    """Strips that are too narrow to hit would only make the page long."""
    assert drawn(chart(*((float(t), 1.0) for t in range(1000)))).notes == []


@pytest.mark.parametrize("points", [[], [(0.0, None), (1.0, None)]])
def test_nothing_measured_is_no_plot(points: list[Point]) -> None:
    """An empty frame would look like a measurement of nothing."""
    assert laid_out(chart(*points)) is None


@given(SERIES, st.lists(st.floats(1e-3, 1e12), max_size=3), st.booleans())
def test_nothing_leaves_the_frame(points: list[Point], limits: list[float], logarithmic: bool) -> None:
    """Whatever was measured, in whatever range."""
    plot = laid_out(chart(*points, limits=tuple(limits), logarithmic=logarithmic, filled=True))
    if plot is None:
        assert not any(value is not None for _, value in points)
        return
    seen = coordinates(plot.paths[0].data + plot.paths[0].area)
    seen += [(LEFT, limit.y) for limit in plot.limits] + [(LEFT, tick.at) for tick in plot.y_ticks]
    seen += [(tick.at, TOP) for tick in plot.x_ticks]
    assert all(LEFT - 0.1 <= x <= LEFT + INNER_WIDTH + 0.1 for x, _ in seen)
    assert all(TOP - 0.1 <= y <= TOP + INNER_HEIGHT + 0.1 for _, y in seen)


@given(st.lists(VALUES, min_size=1, max_size=50), st.sampled_from([Linear, Logarithmic]))
def test_a_scale_keeps_the_order_and_has_a_few_ticks(
    values: list[float], kind: type[Linear] | type[Logarithmic]
) -> None:
    """What is more lies higher; two to eight numbers are written, each at its own height."""
    scale = kind.over(values)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    assert 2 <= len(scale.ticks) <= 8
    at = [scale.place(tick) for tick in scale.ticks]
    assert at == sorted(set(at))


@given(st.floats(0.5, 1e8))
def test_time_has_a_few_ticks(length_s: float) -> None:
    """From 0, in order, not beyond the end, each written once."""
    times, labels = zip(*time_ticks(length_s), strict=True)
    assert times[0] == 0
    assert list(times) == sorted(set(times))
    assert times[-1] <= length_s
    assert len(times) <= 8
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("length_s", "labels"),
    [
        (60, ["0", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s"]),
        (900, ["0", "5 min", "10 min", "15 min"]),
        (86_400, ["0", "4 h", "8 h", "12 h", "16 h", "20 h", "24 h"]),
        (0.4, ["0"]),
    ],
)
def test_time_is_written_in_its_unit(length_s: float, labels: list[str]) -> None:
    """Seconds, minutes, hours or days, as long as the run was."""
    assert [label for _, label in time_ticks(length_s)] == labels


@given(SERIES, st.integers(1, 40))
def test_thinning_keeps_what_stands_out(points: list[Point], columns: int) -> None:
    """Highest and lowest remain, nothing is invented or moved, and few points are left."""
    kept = thinned(points, columns)
    assert len(kept) <= 2 * columns
    rest = iter(points)
    assert all(point in rest for point in kept)
    before, after = ([value for _, value in some if value is not None] for some in (points, kept))
    assert bool(before) == bool(after)
    if before:
        assert (min(before), max(before)) == (min(after), max(after))


def test_thinning_keeps_one_slow_second_of_an_hour() -> None:
    """The tail is what a plot is looked at for."""
    points: list[Point] = [(float(t), 9000.0 if t == 1777 else 3.0 + t % 7) for t in range(3600)]
    kept = thinned(points, 100)
    assert (1777.0, 9000.0) in kept
    assert len(kept) <= 200


def test_thinning_keeps_a_long_gap() -> None:
    """An outage is not drawn over."""
    points: list[Point] = [(float(t), None if 1000 <= t < 1400 else 3.0) for t in range(3600)]
    kept = thinned(points, 100)
    assert any(value is None for _, value in kept)
    assert not any(value is not None and 1000 <= time < 1400 for time, value in kept)
    assert len(drawn(chart(*points)).paths[0].data.split("M")) == 3


def test_a_short_series_is_left_as_it_is() -> None:
    """With its single gaps."""
    points: list[Point] = [(0.0, 1.0), (1.0, None), (2.0, 3.0)]
    assert thinned(points, 100) == points
