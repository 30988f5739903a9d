"""Who used the processor while something was measured, as shares of one core."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psutil  # type: ignore[import-untyped]

from benchmarks.programs import Program


class ProcessorTime:
    """The processor time of *programs*, and of the whole machine, between `begin` and `end`."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def begin(self) -> None:
        """Start to count."""
        self._began = self._read()

    def end(self) -> None:
        """Stop counting."""
        self._ended = self._read()

    def shares(self, generator: float | None = None) -> dict[str, float]:
        """Each program's share; with the *generator*'s, which it counts itself; and that of all `others`."""
        used_s = {name: ended - self._began[name] for name, ended in self._ended.items()}
        seconds, machine_s = used_s.pop("clock"), used_s.pop("machine")
        shares = {name: program_s / seconds for name, program_s in used_s.items()}
        if generator is not None:
            shares["generator"] = generator
        shares["others"] = max(0.0, machine_s / seconds - sum(shares.values()))
        return {name: round(share, 3) for name, share in shares.items()}

    def _read(self) -> dict[str, float]:
        programs = {program.name: program.cpu_s() for program in self._programs}
        return programs | {"clock": time.perf_counter(), "machine": _machine_s()}


def _machine_s() -> float:
    """How long the cores worked for anybody, or were taken from us by the machine below."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
