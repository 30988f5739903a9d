"""`check`: what must be right before a deployment, each line passed, failed or skipped with why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import docker
import requests
from docker.errors import DockerException

from contracts.targets import TargetsError, read_targets
from infra.errors import Refused
from infra.stack_config import GENERATED
from runbook.console import print_json, show
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.recovery import read_locks
from runbook.workspace import Workspace, open_workspace

REQUIRED = ("WAHA_WEBHOOK_SECRET", *GENERATED)


@dataclass(frozen=True)
class Line:
    """One line of the checklist."""

    name: str
    result: Literal["passed", "failed", "skipped"]
    detail: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.result:8}{self.name}: {self.detail}"


def check(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Go through the pre-deployment checklist.

    Exit code 1 if a line failed.
    """
    lines = [
        probed("targets", _targets),
        probed("docker engine", _engine),
        *stack_lines(lambda: open_workspace(stack)),
    ]
    if as_json:
        print_json([asdict(line) for line in lines])
    else:
        show("\n".join(map(str, lines)))
    if failed := [line.name for line in lines if line.result == "failed"]:
        raise RunbookError(f"not as it should be: {', '.join(failed)}", "each line above says what to do")


def stack_lines(opened: Callable[[], Workspace]) -> list[Line]:
    """The lines on a stack; all but the first are skipped where it cannot be *opened*."""
    probes = {"lock": _lock, "secrets": _secrets, "pending operations": _pending}
    workspace: Workspace | None = None

    def look() -> str:
        nonlocal workspace
        workspace = opened()
        return f"{workspace.stack} can be read"

    first = probed("stack", look)
    if workspace is None:
        return [first, *(Line(name, "skipped", "needs the stack") for name in probes)]
    found = workspace
    return [first, *(probed(name, partial(probe, found)) for name, probe in probes.items())]


def probed(name: str, probe: Callable[[], str]) -> Line:
    """The line that says what *probe* found, or what it refused."""
    try:
        return Line(name, "passed", probe())
    except (RunbookError, Refused) as error:
        return Line(name, "failed", f"{error.message} ({error.hint})" if error.hint else error.message)
    except (TargetsError, DockerException, requests.RequestException) as error:
        return Line(name, "failed", str(error))


def _targets() -> str:
    read_targets()
    return "targets.toml is complete"


def _engine() -> str:
    return f"version {docker.from_env(timeout=5).version()['Version']} answers"


def _lock(workspace: Workspace) -> str:
    locks = read_locks(workspace)
    if running := [lock for lock in locks if not lock.is_stale]:
        raise RunbookError(f"held by {running[0]}", "wait for it")
    if locks:
        raise RunbookError(f"left by a killed update: {locks[0]}", "`bin/runbook up` clears it")
    return "free" if workspace.state_folder else "kept by the backend, which refuses a second update itself"


def _secrets(workspace: Workspace) -> str:
    current = workspace.secrets()["current"]
    if missing := [name for name in REQUIRED if not current.get(name)]:
        raise RunbookError(f"not set: {', '.join(missing)}", "`bin/runbook secrets set NAME`")
    return f"{len(current)} set, the required ones among them"


def _pending(workspace: Workspace) -> str:
    pending = workspace.export().get("pending_operations") or []
    if pending:
        raise RunbookError(f"{len(pending)} left by a killed update", "`bin/runbook up` clears them")
    return "none"
