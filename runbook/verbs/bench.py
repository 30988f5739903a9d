"""`bench`: the service's speed beside a plain reference's, on this machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.debian_packages import install
from infra.manifest import BUILD, REPOSITORY
from runbook.child import run_child
from runbook.console import say
from runbook.options import Json

REPORTS = BUILD / "reports" / "bench"


class Part(StrEnum):
    """What can be measured, as `python -m benchmarks` calls it."""

    WEBHOOKS = "webhooks"
    LATENCY = "latency"
    MEMORY = "memory"
    WORKER = "worker"
    LOGS = "logs"


Only = Annotated[
    list[Part] | None, typer.Option("--only", help="Measure only this; may be given several times.")
]
Short = Annotated[bool, typer.Option("--short", help="Less of everything: about a minute instead of nine.")]
Check = Annotated[bool, typer.Option("--check", help="Exit 1 if a target of targets.toml is not met.")]


def bench(only: Only = None, short: Short = False, check: Check = False, as_json: Json = False) -> None:
    """Measure how fast the service is.

    Webhooks per second beside a plain reference, latency at half that load, memory, a worker's drain,
    a question to log lines beside jq.

    It starts servers of its own on loopback; no stack is touched.
    """
    if missing := [program for program in ("redis-server", "jq") if shutil.which(program) is None]:
        install(missing, say)  # packages of the same names
    report = REPORTS / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.json"
    switches = {"--short": short, "--check": check, "--json": as_json}
    code = run_child(
        bench_command(report, only or [], [name for name, given in switches.items() if given]),
        folder=REPOSITORY,
    )
    if report.exists():
        say(f"report: {report.relative_to(REPOSITORY)}")
    if code != 0:
        raise typer.Exit(code)  # what went wrong was said there


def bench_command(report: Path, parts: Sequence[Part], switches: Sequence[str]) -> list[str]:
    """The command that measures *parts* (all, if there are none) and writes *report*."""
    return [sys.executable, "-m", "benchmarks", *parts, *switches, "--report", str(report)]
