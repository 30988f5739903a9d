"""`check`: what must be right before a deployment, each line passed, failed or skipped with why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from runbook.checklist.line import Line
from runbook.checklist.run import Checklist, go_through
from runbook.console import print_json, show
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack

Fast = Annotated[bool, typer.Option("--fast", help="Leave out the tests and the build of the image.")]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", help="Check the variables of this file, instead of the stack's."),
]


def check(
    stack: Stack = DEFAULT_STACK, fast: Fast = False, env_file: EnvFile = None, as_json: Json = False
) -> None:
    """Go through the pre-deployment checklist.

    Machine, stack, every variable, every outside service, lint, types, tests, build, preview. Exit code 1 if
    a line failed. Nothing is changed, and no secret is shown.
    """
    checklist = Checklist((lambda _line: None) if as_json else Shown())
    go_through(checklist, stack, env_file=env_file, is_fast=fast)
    if as_json:
        print_json([asdict(line) for line in checklist.lines])
    else:
        show(f"\n{checklist.counts}")
    if failed := checklist.failed:
        raise RunbookError(f"not as it should be: {', '.join(failed)}", "each line above says what to do")


class Shown:
    """Prints lines, under the name of their group where another one begins."""

    def __init__(self) -> None:
        self._group = ""

    def __call__(self, line: Line) -> None:
        """Print one more."""
        if line.group != self._group:
            show(f"{chr(10) if self._group else ''}{line.group}")
            self._group = line.group
        show(f"  {line}")
