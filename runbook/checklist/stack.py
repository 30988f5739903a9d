"""The stack: locks, secrets, what a killed update left, and what the next one would change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from infra.deploy_lock import DeployLock
from infra.lock_holder import Kind
from infra.stack_name import bare_name
from infra.stack_settings import GENERATED
from runbook.checklist.line import Failed, Line, Result, Skipped, probed
from runbook.recovery import read_locks
from runbook.rotation import MINUTE, rotations
from runbook.verbs.preview import planned
from runbook.workspace import Workspace

GROUP = "stack"
REQUIRED = ("WAHA_WEBHOOK_SECRET", *GENERATED)


def stack_lines(stack: str, opened: Callable[[], Workspace | None]) -> tuple[list[Line], Workspace | None]:
    """The lines on a stack, and it; those that need it are skipped where it cannot be *opened* or is none."""
    workspace: Workspace | None = None

    def look() -> str:
        nonlocal workspace
        workspace = opened()
        if workspace is None:
            raise Skipped(f"there is no stack {stack} yet: `bin/runbook up --stack {stack}` makes it")
        return f"{workspace.stack} can be read"

    lines = [probed(GROUP, "stack", look), probed(GROUP, "deploy lock", partial(_deploy_lock, stack))]
    probes = {"lock": _lock, "secrets": _secrets, "rotations": _rotations, "pending operations": _pending}
    if workspace is None:
        skipped = [Line(GROUP, name, Result.SKIPPED, "needs the stack") for name in probes]
        return [*lines, *skipped], None
    found: Workspace = workspace
    return [*lines, *(probed(GROUP, name, partial(probe, found)) for name, probe in probes.items())], found


def preview_line(group: str, workspace: Workspace | None) -> Line:
    """How much the next update would change; that it can be planned at all shows that the program runs."""
    return probed(group, "preview", partial(_preview, workspace))


def _preview(workspace: Workspace | None) -> str:
    if workspace is None:
        raise Skipped("needs the stack")
    changes = len(planned(workspace))
    return f"{changes} changes" if changes else "nothing would change"


def _deploy_lock(stack: str) -> str:
    lock = DeployLock(bare_name(stack))
    holder = lock.read()
    if holder is None:
        return "free"
    if lock.is_gone(holder):
        return f"left by {holder}, which is gone: the next deployment takes it over"
    verb = "release" if holder.kind is Kind.MANUAL else "show"
    raise Failed(f"held by {holder} (`bin/runbook lock {verb} --stack {stack}`)")


def _lock(workspace: Workspace) -> str:
    locks = read_locks(workspace)
    if running := [lock for lock in locks if not lock.is_stale(())]:
        raise Failed(f"held by {running[0]} (wait for it)")
    if locks:
        raise Failed(f"left by a killed update: {locks[0]} (`bin/runbook up` clears it)")
    return "free" if workspace.state_folder else "kept by the backend, which refuses a second update itself"


def _secrets(workspace: Workspace) -> str:
    current = workspace.secrets()["current"]
    if missing := [name for name in REQUIRED if not current.get(name)]:
        raise Failed(f"not set: {', '.join(missing)} (`bin/runbook secrets set NAME`)")
    return f"{len(current)} set, the required ones among them"


def _rotations(workspace: Workspace) -> str:
    until = rotations(workspace)
    told = ", ".join(f"the old {name} is taken until {when:{MINUTE}}" for name, when in until.items())
    return told or "none under way"


def _pending(workspace: Workspace) -> str:
    pending = workspace.export().get("pending_operations") or []
    if pending:
        raise Failed(f"{len(pending)} left by a killed update (`bin/runbook up` clears them)")
    return "none"
