"""`test`: the project's whole suite, as CI runs it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from infra.manifest import BUILD, REPOSITORY
from runbook.child import child_beside, run_child
from runbook.console import say
from runbook.errors import RunbookError
from runbook.preparation import prepare

Fast = Annotated[bool, typer.Option("--fast", help="Leave out what needs containers or whole stacks.")]

_CHECKS = {"lint": ["ruff", "check", "."], "format": ["ruff", "format", "--check", "."], "types": ["mypy"]}
_LONGEST = "--durations=15"
# Two stacks at a time: a deployment waits for more than half of its time.
_STACKS = ["pytest", "-m", "stack", "-n", "2", "--dist", "loadfile", _LONGEST]
_ENV = {"TESTCONTAINERS_RYUK_DISABLED": "true"}


def test(fast: Fast = False) -> None:
    """Run the project's whole test suite.

    Lint, types, unit tests, real containers, whole stacks.
    """
    if fast:
        run_steps({**_CHECKS, "tests": ["pytest", "-m", "not integration and not stack"]}, _run)
        return
    prepare("dev-test")
    BUILD.mkdir(exist_ok=True)
    log = BUILD / "test-stacks.log"
    # The stacks mostly wait for gates and containers: the other tests run meanwhile.
    with (
        log.open("wb") as output,
        child_beside(_command(_STACKS), folder=REPOSITORY, env=_ENV, output=output) as stacks,
    ):
        steps = {**_CHECKS, "tests": ["pytest", "-m", "not stack", _LONGEST], "stacks": _STACKS}
        run_steps(steps, lambda command: _await(stacks, log) if command is _STACKS else _run(command))


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
    return run_child(_command(command), folder=REPOSITORY, env=_ENV)


def _await(stacks: Callable[[], int], log: Path) -> int:
    code = stacks()
    sys.stdout.write(log.read_text(encoding="utf-8", errors="replace"))
    sys.stdout.flush()
    return code


def _command(step: list[str]) -> list[str]:
    return [sys.executable, "-m", *step]
