"""The code: style, types, tests. Each is a program of its own, as `bin/runbook test` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from infra.manifest import BUILD, REPOSITORY
from runbook.checklist.line import Failed, Line, Skipped, probed

GROUP = "code"
LOGS = BUILD / "check"
_ENV = {"TESTCONTAINERS_RYUK_DISABLED": "true"}
_NOT_THESE = "not integration and not stack and not chaos"
STEPS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["mypy"]],
    "tests": [["pytest", "-q", "-m", _NOT_THESE]],
}
_LAST_CHARACTERS = 200


def code_line(name: str, *, is_left_out: bool = False, logs: Path = LOGS) -> Line:
    """The line on one of `STEPS`."""
    return probed(GROUP, name, partial(_step, name, is_left_out, logs))


def run_step(commands: Sequence[Sequence[str]], log: Path) -> str:
    """Run Python modules one after another, their output in *log*; what the last one said last.

    Raises:
        Failed: one ended with another exit code than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for command in commands:
        with log.open("wb") as output:
            code = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=REPOSITORY,
                env={**os.environ, **_ENV},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = said[-1].strip("= ")[-_LAST_CHARACTERS:] if said else "nothing was said"
        if code != 0:
            where = log.relative_to(REPOSITORY) if log.is_relative_to(REPOSITORY) else log
            raise Failed(f"`python -m {' '.join(command)}` ended with {code}: {last} (all of it: {where})")
    return f"{last} ({time.monotonic() - began:.0f} s)"


def _step(name: str, is_left_out: bool, logs: Path) -> str:
    if is_left_out:
        raise Skipped("--fast leaves it out")
    return run_step(STEPS[name], logs / f"{name}.log")
