"""The memory of the container that this process runs in, as the kernel counts it against its limit.

Each container tells of itself: nothing on the machine has to see the others, or the engine's socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_CGROUP = Path("/sys/fs/cgroup")
_V1 = ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat")
_V2 = ("memory.current", "memory.max", "memory.stat")
_NO_LIMIT = 1 << 60
"""Version 1 says a number of pages that no machine has, version 2 `max`."""


class ContainerMemory(Collector):
    """Two gauges; none where the process runs in no cgroup of its own, or has no limit."""

    def __init__(self, cgroup: Path = _CGROUP) -> None:
        self._cgroup = cgroup

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The names, without looking."""
        yield GaugeMetricFamily("container_memory_used_bytes", "Memory in use, without the page cache")
        yield GaugeMetricFamily("container_memory_limit_bytes", "Above it the container is killed")

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures of now."""
        found = self._read(*_V2) or self._read(*_V1)
        if found is None:
            return
        for family, value in zip(self.describe(), found, strict=True):
            family.add_metric([], value)
            yield family

    def _read(self, used: str, limit: str, stat: str) -> tuple[int, int] | None:
        """Used and limit, in bytes."""
        try:
            texts = [(self._cgroup / name).read_text(encoding="ascii") for name in (used, limit, stat)]
            detail = dict(line.split() for line in texts[2].splitlines())
            limit_bytes = int(texts[1])
        except (OSError, ValueError):  # there is none, or `max`
            return None
        cache = int(detail.get("total_inactive_file", detail.get("inactive_file", 0)))
        return (int(texts[0]) - cache, limit_bytes) if limit_bytes < _NO_LIMIT else None
