"""The containers' memory over time, a chart for each role: its containers have one limit."""

from __future__ import annotations

from itertools import groupby

from infra.release_page.plot import Chart, Limit, Line
from infra.release_page.records import Container, ContainersSeries
from infra.release_page.thinning import Point

_KINDS = 6  # as many as the style sheet tells apart


def memory_charts(series: ContainersSeries) -> list[Chart]:
    """Memory in MB for each role, with the limit at which the engine ends a container."""
    by_role = sorted(series.containers, key=lambda container: container.role)
    return [
        _chart(role, list(containers)) for role, containers in groupby(by_role, key=lambda there: there.role)
    ]


def _chart(role: str, containers: list[Container]) -> Chart:
    limits = sorted({container.limit_mb for container in containers if container.limit_mb})
    return Chart(
        title=f"Memory of {role}",
        unit="MB",
        lines=[_line(container, index) for index, container in enumerate(containers)],
        limits=[Limit("limit", limit) for limit in limits],
    )


def _line(container: Container, index: int) -> Line:
    samples = sorted(container.samples, key=lambda sample: sample.t)
    points: list[Point] = [(sample.t, sample.memory_mb) for sample in samples]
    return Line(container.name, f"container-{index % _KINDS + 1}", points)
