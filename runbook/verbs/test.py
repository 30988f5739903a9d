"""`test`: the project's whole suite, as CI runs it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer

from infra.manifest import BUILD, REPOSITORY
from runbook.child import child_beside, run_child
from runbook.console import say
from runbook.errors import RunbookError
from runbook.preparation import prepare

Fast = Annotated[bool, typer.Option("--fast", help="Leave out what needs containers or whole stacks.")]

_CHECKS = {"lint": ["ruff", "check", "."], "format": ["ruff", "format", "--check", "."], "types": ["mypy"]}
_PYTEST = ["pytest", "--strict-config", "--durations=15"]
# More than there are cores: most of them wait for a process, a container or a clock for most of their time.
# As they are collected, not by how many tests a file has: files with few and long ones would come last.
_OTHERS = [*_PYTEST, "-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
_STACKS = [*_PYTEST, "tests/stack"]
_BESIDE = {
    "stacks on engines of their own": [*_STACKS, "-m", "own_engine"],
    "stacks with monitors": [*_STACKS, "-m", "monitored"],
    "other stacks without a gate": [*_STACKS, "-m", "not own_engine and not monitored and not gate"],
}
"""They wait for most of their time: the other tests run meanwhile."""
_GATES = [*_STACKS, "-m", "gate"]
"""They measure, and have the machine for themselves."""
_ENV = {"TESTCONTAINERS_RYUK_DISABLED": "true"}


def test(fast: Fast = False) -> None:
    """Run the project's whole test suite.

    Lint, types, unit tests, real containers, whole stacks.
    """
    if fast:
        steps = {**_CHECKS, "tests": [*_OTHERS, "-m", "not integration and not stack"]}
        run_steps(steps, lambda _name, command: _run(command))
        return
    prepare("dev-test")
    BUILD.mkdir(exist_ok=True)
    with ExitStack() as block:
        beside = {name: _start_beside(name, command, block) for name, command in _BESIDE.items()}

        def run(name: str, command: list[str]) -> int:
            return beside[name]() if name in beside else _run(command)

        run_steps({**_CHECKS, "tests": [*_OTHERS, "-m", "not stack"], **_BESIDE, "gates": _GATES}, run)


def run_steps(
    steps: dict[str, list[str]],
    run: Callable[[str, list[str]], int],
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
        passed = run(name, command) == 0
        results.append(f"{name} {'passed' if passed else 'failed'} ({clock() - began:.1f} s)")
        if not passed:
            failed.append(name)
    say(", ".join(results))
    if failed:
        raise RunbookError(f"not as it should be: {', '.join(failed)}", "what is wrong stands above")


def _run(command: list[str]) -> int:
    return run_child(_command(command), folder=REPOSITORY, env=_ENV)


def _start_beside(name: str, command: list[str], block: ExitStack) -> Callable[[], int]:
    """Start *command* for the length of *block*; gives what waits for its end and shows its output."""
    log = BUILD / f"test-{name.replace(' ', '-')}.log"
    output = block.enter_context(log.open("wb"))
    wait = block.enter_context(child_beside(_command(command), folder=REPOSITORY, env=_ENV, output=output))

    def finish() -> int:
        code = wait()
        sys.stdout.write(log.read_text(encoding="utf-8", errors="replace"))
        sys.stdout.flush()
        return code

    return finish


def _command(step: list[str]) -> list[str]:
    return [sys.executable, "-m", *step]
