"""`python -m benchmarks [webhooks] [latency] [memory] [worker] [logs]`: what `bin/runbook bench` runs."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Never

import typer
from rich.console import Console

from benchmarks.console import table_console
from benchmarks.errors import BenchError
from benchmarks.programs import REPOSITORY
from benchmarks.run import Part, run
from benchmarks.sizes import FULL, SHORT
from benchmarks.table import show_report
from contracts.targets import TargetsError, read_targets
from contracts.verdict import Verdict

INTERRUPTED = 130

Rounds = Annotated[int | None, typer.Option(min=1, help="Rounds of each load.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Length of a round.")]
WarmUp = Annotated[float | None, typer.Option(min=0.1, help="Seconds before each round.")]
MemoryWebhooks = Annotated[int | None, typer.Option(min=100, help="Webhooks over which memory is watched.")]
LogLines = Annotated[int | None, typer.Option(min=100, help="Log lines that a question is asked to.")]
Backlog = Annotated[int | None, typer.Option(min=2, help="Messages that the worker drains.")]


def bench(
    parts: Annotated[
        list[Part] | None, typer.Argument(help="What to measure; everything by default.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Less of everything: a minute.")] = False,
    rounds: Rounds = None,
    seconds: Seconds = None,
    warm_up: WarmUp = None,
    memory_webhooks: MemoryWebhooks = None,
    backlog: Backlog = None,
    log_lines: LogLines = None,
    folder: Annotated[Path, typer.Option(help="Where the servers keep their data: on a disk.")] = REPOSITORY
    / ".build/bench",
    report: Annotated[Path | None, typer.Option(help="Where the report goes, as JSON.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, not as a table.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if a target is not met.")] = False,
) -> None:
    """Measure the service beside a plain reference, and hold it against `[bench]` of targets.toml."""
    sizes = SHORT if short else FULL
    given = {
        "rounds": rounds,
        "seconds": seconds,
        "warm_up_s": warm_up,
        "memory_webhooks": memory_webhooks,
        "backlog": backlog,
        "log_lines": log_lines,
    }
    sizes = replace(sizes, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    err = Console(stderr=True, highlight=False)
    found = run(set(parts or Part), sizes, read_targets().bench, folder=folder, say=err.print)
    if report:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        show_report(found, table_console())
    if check and any(each.verdict is not Verdict.PASS for each in found.checks):
        raise BenchError("a target is not met", "the table says which")


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 usage."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        typer.run(bench)
    except BenchError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except TargetsError as error:
        print(f"error: {error}\nhint: mend targets.toml", file=sys.stderr)
        sys.exit(1)


def _interrupt(_signal: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
