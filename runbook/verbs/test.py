"""`test`: the project's whole suite, as CI runs it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from infra.manifest import REPOSITORY
from runbook.child import run_child
from runbook.console import say
from runbook.errors import RunbookError
from runbook.preparation import prepare

Fast = Annotated[bool, typer.Option("--fast", help="Leave out what needs containers or whole stacks.")]

_WITHOUT_CONTAINERS = ["-m", "not integration and not stack"]


def test(fast: Fast = False) -> None:
    """Run lint, types and tests; exit 1 if anything is wrong."""
    if not fast:
        prepare("dev-test")
    run_steps(
        {
            "lint": ["ruff", "check", "."],
            "format": ["ruff", "format", "--check", "."],
            "types": ["mypy"],
            "tests": ["pytest", *(_WITHOUT_CONTAINERS if fast else [])],
        },
        _run,
    )


def run_steps(
    steps: dict[str, list[str]],
    run: Callable[[list[str]], int],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run every step, the failed ones notwithstanding, and say in one line how each went.

    Raises:
        RunbookError: a step failed; names all that did.
    """
    results, failed = [], []
    for name, command in steps.items():
        say("$ python -m " + " ".join(command))
        began = clock()
        passed = run(command) == 0
        results.append(f"{name} {'passed' if passed else 'failed'} ({clock() - began:.1f} s)")
        if not passed:
            failed.append(name)
    say(", ".join(results))
    if failed:
        raise RunbookError(f"not as it should be: {', '.join(failed)}", "what is wrong stands above")


def _run(command: list[str]) -> int:
    return run_child(
        [sys.executable, "-m", *command], folder=REPOSITORY, env={"TESTCONTAINERS_RYUK_DISABLED": "true"}
    )
