"""Have the generator measure a running server, and watch what all processes use meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.cores import placed
from benchmarks.errors import BenchError
from benchmarks.processor_time import ProcessorTime
from benchmarks.programs import REPOSITORY, Program, end, python

CONNECTIONS = 32


@dataclass(frozen=True)
class Generator:
    """The generator's process, aimed at *port*; *watched*: programs whose processor time is of interest."""

    port: int
    watched: Sequence[Program]

    def closed(self, *, seconds: float, warm_up_s: float) -> dict[str, Any]:
        """As many webhooks as are taken; fields of `report.Load`. Raises as all three do: BenchError."""
        return self._measure("closed", "--seconds", seconds, "--warm-up", warm_up_s)

    def open(self, *, rate: float, seconds: float, warm_up_s: float) -> dict[str, Any]:
        """*rate* webhooks a second; fields of `report.PacedLoad`."""
        return self._measure("open", "--rate", rate, "--seconds", seconds, "--warm-up", warm_up_s)

    def count(self, webhooks: int, progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
        """So many *webhooks*; fields of `report.Load`. *progress* hears of each hundredth of the answers."""
        return self._measure("count", "--count", webhooks, progress=progress)

    def _measure(
        self, shape: str, *options: object, progress: Callable[[int], None] = lambda _: None
    ) -> dict[str, Any]:
        """Run it to its end.

        Raises:
            BenchError: it failed, or a webhook was not answered 202.
        """
        told = ["--port", self.port, "--connections", CONNECTIONS, *options]
        with placed(alone=False):
            process = subprocess.Popen(
                python("benchmarks.generator", shape, *map(str, told)),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
            )
        assert process.stdout is not None
        try:
            figures = follow(process.stdout, ProcessorTime(self.watched), progress)
        finally:
            end(process)
            process.stdout.close()
        require_all_accepted(figures["statuses"])
        return figures


def follow(
    lines: Iterable[bytes], processor_time: ProcessorTime, progress: Callable[[int], None]
) -> dict[str, Any]:
    """The figures that the generator's *lines* end with, with the `cpu` that was used while it measured.

    Raises:
        BenchError: it said that it failed, or nothing.
    """
    for line in lines:
        told: dict[str, Any] = json.loads(line)
        match told.pop("event"):
            case "measuring":
                processor_time.begin()
            case "progress":
                progress(told["answered"])
            case "measured":
                processor_time.end()
            case "failed":
                raise BenchError(f"the generator failed: {told['reason']}", "is the server still there?")
            case "result":
                return told | {"cpu": processor_time.shares(told.pop("cpu_share"))}
    raise BenchError("the generator ended without a result", "what it said stands above")


def require_all_accepted(statuses: dict[str, int]) -> None:
    """Refuse figures of a run in which a webhook was answered anything but 202.

    Raises:
        BenchError: with how many there were of each.
    """
    if others := {status: count for status, count in statuses.items() if status != "202"}:
        told = ", ".join(
            f"{'none' if status == '0' else status} ({count})" for status, count in others.items()
        )
        raise BenchError(f"answers other than 202: {told}", "a run counts only if every webhook was accepted")
