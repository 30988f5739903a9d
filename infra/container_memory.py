"""How much memory containers use, as the engine's own limit counts it: without the page cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError
from docker.models.containers import Container

_MB = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """Of one container, in MB."""

    used_mb: float
    limit_mb: float


def memory_of(containers: Sequence[Container]) -> list[Memory | None]:
    """Of each; None for one that does not run. Side by side: an engine may take a second to tell of one."""
    if not containers:
        return []
    with ThreadPoolExecutor(len(containers)) as threads:
        return list(threads.map(_memory_of, containers))


def _memory_of(container: Container) -> Memory | None:
    try:
        stats = container.stats(stream=False, one_shot=True)
    except APIError:
        return None
    assert isinstance(stats, dict)  # not a stream
    return parse_memory(stats.get("memory_stats") or {})


def parse_memory(told: dict[str, Any]) -> Memory | None:
    """Read the engine's `memory_stats`, empty for a container that does not run; cgroup v1 or v2."""
    if "usage" not in told:
        return None
    detail = told.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return Memory((told["usage"] - cache) / _MB, told.get("limit", 0) / _MB)
