"""The checklist as a whole: its groups in their order, each line told when it is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from runbook.checklist import code, variables
from runbook.checklist.build import build
from runbook.checklist.given import Given, beside, of_file, of_new_stack, of_stack
from runbook.checklist.line import Line, Result, Skipped, probed
from runbook.checklist.machine import machine_lines
from runbook.checklist.services import service_lines
from runbook.checklist.stack import preview_line, stack_lines
from runbook.errors import RunbookError
from runbook.preparation import side_by_side
from runbook.workspace import Workspace

Tell = Callable[[Line], None]


class Checklist:
    """The lines so far; each is told to *tell* as it comes, from one thread at a time."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._one_at_a_time = threading.Lock()
        self.lines: list[Line] = []

    def add(self, lines: Iterable[Line]) -> None:
        """Take lines that are known."""
        with self._one_at_a_time:
            for line in lines:
                self.lines.append(line)
                self._tell(line)

    @property
    def failed(self) -> list[str]:
        """The names of the lines that failed."""
        return [line.name for line in self.lines if line.result is Result.FAILED]

    @property
    def counts(self) -> str:
        """How many lines ended how."""
        ended = [line.result for line in self.lines]
        return ", ".join(f"{ended.count(result)} {result}" for result in Result)


def go_through(checklist: Checklist, stack: str, *, env_file: Path | None, is_fast: bool) -> None:
    """Add every line on *stack*. The quick ones first; those of the code, which take long, as they end."""
    checklist.add(machine_lines(stack))
    lines, workspace = stack_lines(stack, partial(existing, stack))
    checklist.add(lines)
    given = _environment(checklist, stack, workspace, env_file)
    if given is not None:
        about = variables.variable_lines(given)
        checklist.add(about)
        checklist.add(service_lines(given, [line.name for line in about if line.result is Result.FAILED]))
    checklist.add([preview_line(code.GROUP, workspace)])
    side_by_side(*(partial(_add, checklist, look) for look in _long_ones(stack, is_fast=is_fast)))


def existing(stack: str) -> Workspace | None:
    """The stack; None where there is none."""
    workspace = Workspace(stack)
    return workspace if workspace.exists() else None


def _environment(
    checklist: Checklist, stack: str, workspace: Workspace | None, env_file: Path | None
) -> Given | None:
    """The environment to check; where it cannot be read, that is a line."""
    try:
        found = of_stack(workspace) if workspace else None
        if env_file is None:
            return found or of_new_stack(stack)
        from_file = of_file(env_file, stack)
        return beside(from_file, found) if found else from_file
    except RunbookError as error:
        checklist.add(
            [Line(variables.GROUP, "environment", Result.FAILED, f"{error.message} ({error.hint})")]
        )
        return None


def _long_ones(stack: str, *, is_fast: bool) -> list[Callable[[], Line]]:
    def built() -> str:
        if is_fast:
            raise Skipped("--fast leaves it out")
        return build(stack)

    return [
        partial(code.code_line, "lint"),
        partial(code.code_line, "types"),
        partial(probed, code.GROUP, "build", built),
        partial(code.code_line, "tests", is_left_out=is_fast),
    ]


def _add(checklist: Checklist, look: Callable[[], Line]) -> None:
    checklist.add([look()])
