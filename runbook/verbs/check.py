"""`check`: what must be right before a deployment, each line passed, failed or skipped with why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import docker
import typer
from docker.errors import DockerException

from contracts.targets import TargetsError, read_targets
from infra.errors import Refused
from infra.stack_config import GENERATED
from runbook.console import out, print_json
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.recovery import read_locks
from runbook.workspace import Workspace

REQUIRED = ("WAHA_WEBHOOK_SECRET", *GENERATED)


@dataclass(frozen=True)
class Line:
    """One line of the checklist."""

    name: str
    result: Literal["passed", "failed", "skipped"]
    detail: str


def check(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Go through the pre-deployment checklist; exit 1 if a line failed."""
    lines = [_line("targets", _targets), _line("docker engine", _engine), *_stack_lines(stack)]
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        for line in lines:
            out.print(f"{line.result:8}{line.name}: {line.detail}", markup=False)
    if any(line.result == "failed" for line in lines):
        raise typer.Exit(1)


def _stack_lines(stack: str) -> list[Line]:
    workspace: list[Workspace] = []

    def opened() -> str:
        workspace.append(Workspace(stack))
        if not workspace[0].exists():
            workspace.clear()
            raise RunbookError(f"there is no stack {stack!r}", f"`bin/runbook up --stack {stack}` makes it")
        return f"{stack} can be read"

    first = _line("stack", opened)
    if not workspace:
        return [
            first,
            *(Line(name, "skipped", "needs the stack") for name in ("lock", "secrets", "pending operations")),
        ]
    return [
        first,
        _line("lock", lambda: _lock(stack)),
        _line("secrets", lambda: _secrets(workspace[0])),
        _line("pending operations", lambda: _pending(workspace[0])),
    ]


def _line(name: str, probe: Callable[[], str]) -> Line:
    try:
        return Line(name, "passed", probe())
    except (RunbookError, Refused) as error:
        return Line(name, "failed", f"{error.message} ({error.hint})")
    except (TargetsError, DockerException) as error:
        return Line(name, "failed", str(error))


def _targets() -> str:
    read_targets()
    return "targets.toml is complete"


def _engine() -> str:
    return f"version {docker.from_env(timeout=5).version()['Version']} answers"


def _lock(stack: str) -> str:
    for lock in read_locks(stack):
        state = "left by a killed update" if lock.is_stale else "held"
        raise RunbookError(
            f"{state}: {lock}",
            "`bin/runbook up` clears a stale one",
        )
    return "free"


def _secrets(workspace: Workspace) -> str:
    current = workspace.secrets()["current"]
    if missing := [name for name in REQUIRED if name not in current]:
        raise RunbookError(f"not set: {', '.join(missing)}", "`bin/runbook secrets set NAME`")
    return f"{len(current)} set, the required ones among them"


def _pending(workspace: Workspace) -> str:
    pending = workspace.export().get("pending_operations") or []
    if pending:
        raise RunbookError(f"{len(pending)} left by a killed update", "`bin/runbook up` clears them")
    return "none"
