"""`test`: the project's whole suite, as CI runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from infra.manifest import REPOSITORY
from runbook.console import say
from runbook.preparation import prepare

Fast = Annotated[bool, typer.Option("--fast", help="Leave out what needs containers or whole stacks.")]


def test(fast: Fast = False) -> None:
    """Run lint, types and tests; exit 1 if anything is wrong."""
    steps = [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        [sys.executable, "-m", "mypy"],
        [sys.executable, "-m", "pytest", *(["-m", "not integration and not stack"] if fast else [])],
    ]
    if not fast:
        prepare("dev-test")
    failed = [step for step in steps if not _passed(step)]
    if failed:
        raise typer.Exit(1)


def _passed(step: list[str]) -> bool:
    say("$ " + " ".join(["python", *step[1:]]))
    env = {**os.environ, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    return subprocess.run(step, cwd=REPOSITORY, env=env, check=False).returncode == 0
