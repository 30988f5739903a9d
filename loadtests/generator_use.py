"""What the generator used of its processors: one that is busy all the time measures itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_LEAST_S = 1.0


class ProcessUse(NamedTuple):
    """What one process of the generator used while it was sending.

    Attributes:
        host: the machine it ran on.
        cores: how many processors it may run on there; itself it never uses more than one at a time.
        cpu_s: processor time.
        wall_s: how long it took.
    """

    host: str
    cores: int
    cpu_s: float
    wall_s: float

    @property
    def busy(self) -> float:
        """In cores, over a second at least: to be busy for a moment, as at the start, is no overload."""
        return self.cpu_s / max(self.wall_s, _LEAST_S)


def busiest(processes: Iterable[ProcessUse]) -> float | None:
    """The largest share that was used of what could be: of one core by a process, of all by a machine's."""
    by_host: dict[str, list[ProcessUse]] = {}
    for process in processes:
        by_host.setdefault(process.host, []).append(process)
    shares = [process.busy for own in by_host.values() for process in own]
    shares += [sum(process.busy for process in own) / own[0].cores for own in by_host.values()]
    return max(shares, default=None)
