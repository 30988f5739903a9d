"""Have the generator measure a running server, and watch what the servers' processes use meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.programs import REPOSITORY, Program, end, python

Figures = dict[str, Any]


def measure(
    shape: str,
    port: int,
    *options: str,
    watched: Sequence[Program],
    progress: Callable[[int], None] = lambda _: None,
) -> Figures:
    """The generator's figures, with `cpu`: the share of one core that each of *watched* had while it measured.

    Raises:
        BenchError: the generator failed, or a webhook was not answered 202.
    """
    command = python("benchmarks.generator", shape, "--port", str(port), *options)
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        figures = _follow(process, watched, progress)
    finally:
        end(process)
    require_all_accepted(figures["statuses"])
    return figures


def require_all_accepted(statuses: dict[str, int]) -> None:
    """Refuse figures of a run in which a webhook was answered anything but 202.

    Raises:
        BenchError: with how many there were of each.
    """
    if others := {status: count for status, count in statuses.items() if status != "202"}:
        told = ", ".join(
            f"{count} times {'no answer' if status == '0' else status}" for status, count in others.items()
        )
        raise BenchError(
            f"webhooks were not answered 202: {told}",
            "a run counts only if each was accepted; the server's log would say why",
        )


def _follow(
    process: subprocess.Popen[bytes], watched: Sequence[Program], progress: Callable[[int], None]
) -> Figures:
    assert process.stdout is not None
    before: dict[str, float] = {}
    used: dict[str, float] = {}
    for line in process.stdout:
        told = json.loads(line)
        match told.pop("event"):
            case "measuring":
                before = {program.name: program.cpu_s() for program in watched}
            case "progress":
                progress(told["answered"])
            case "measured":
                used = {program.name: program.cpu_s() - before[program.name] for program in watched}
            case "result":
                cpu = {name: seconds / told["seconds"] for name, seconds in used.items()}
                return told | {"cpu": {"generator": told.pop("cpu_share"), **cpu}}
    raise BenchError(f"the generator ended with exit code {process.wait()}", "what it said stands above")
