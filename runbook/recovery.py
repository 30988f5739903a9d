"""After an update that was killed: its lock, pending operations, containers the state does not know.

Only a lock whose process is dead, or pending operations in the state, are taken as the sign of such an
update. Without one nothing is removed: a container with the stack's label may belong to another checkout.
Volumes are never removed: creating one that exists takes it over, with its data.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from runbook.console import say
from runbook.errors import RunbookError
from runbook.stack_containers import containers_of
from runbook.workspace import Workspace, bare_name

_LOOK_EACH_S = 0.5


@dataclass(frozen=True)
class Patience:
    """How long an update that is running is waited for, and by which clock."""

    wait_s: float = 120.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Lock:
    """A lock of the file backend: who holds it."""

    pid: int
    host: str
    user: str
    since: str

    def __str__(self) -> str:
        """Who, where, since when."""
        return f"process {self.pid} of {self.user} on {self.host} since {self.since}"

    @property
    def is_stale(self) -> bool:
        """Whether the process that took it is gone from this machine; one elsewhere cannot be judged."""
        if self.host != socket.gethostname():
            return False
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return not _runs(self.pid)
        return b"pulumi" not in command


def recover(
    workspace: Workspace, engine: docker.DockerClient | None = None, patience: Patience | None = None
) -> None:
    """Clear away what a killed update left, and say what was done. Waits for one that is running.

    Raises:
        RunbookError: another update goes on for longer than our patience, or a thing cannot be removed.
    """
    locks = _stale_locks(workspace, patience or Patience())
    pending = _pending_operations(workspace)
    if not locks and not pending:
        return
    say(f"an earlier update of stack {workspace.stack} was killed: clearing up")
    known = {resource.get("id") for resource in workspace.export().get("resources") or []}
    if workspace.state_folder is None:
        # Its locks cannot be seen from here, but this is refused while an update runs: so it comes first.
        _forget(pending, workspace)
        _remove_unknown(workspace.stack, known, engine or docker.from_env())
        return
    # In this order: if this is killed too, the lock or the pending operations make the next run begin again.
    _remove_unknown(workspace.stack, known, engine or docker.from_env())
    if locks:
        say(f"  removing its lock ({locks[0]}, which is gone)")
        workspace.cancel()
    if pending:
        _forget(pending, workspace)


def read_locks(workspace: Workspace) -> list[Lock]:
    """The stack's locks in a file backend; other backends keep theirs to themselves.

    Raises:
        RunbookError: a lock does not say who holds it.
    """
    root = workspace.state_folder
    if root is None:
        return []
    files = sorted((root / "locks/organization/runbook" / bare_name(workspace.stack)).glob("*.json"))
    return [lock for file in files if (lock := _read_lock(file, workspace.stack)) is not None]


def _read_lock(file: Path, stack: str) -> Lock | None:
    """The lock; None where it has been let go meanwhile."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Lock(int(kept["pid"]), kept["hostname"], kept["username"], kept["timestamp"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunbookError(
            f"the lock of stack {stack} does not say who holds it: {file} is damaged",
            f"if no update of it runs anywhere, `bin/pulumi cancel --stack {stack}` ends the lock",
        ) from error


def _stale_locks(workspace: Workspace, patience: Patience) -> list[Lock]:
    """The locks, once all who still run have let go of theirs."""
    deadline, told = patience.now() + patience.wait_s, False
    while True:
        locks = read_locks(workspace)
        running = [lock for lock in locks if not lock.is_stale]
        if not running:
            return locks
        if patience.now() >= deadline:
            raise RunbookError(
                f"stack {workspace.stack} is being updated by {running[0]}",
                "wait for it; if that machine or process is gone, "
                f"`bin/pulumi cancel --stack {workspace.stack}` ends its lock",
            )
        if not told:
            say(f"waiting up to {patience.wait_s:g} s for the update by {running[0]}")
            told = True
        patience.sleep(_LOOK_EACH_S)


def _pending_operations(workspace: Workspace) -> list[dict[str, Any]]:
    """What the state says is under way; read from the file, where it is one, to spare a run of the CLI."""
    root = workspace.state_folder
    file = root / "stacks/runbook" / f"{bare_name(workspace.stack)}.json" if root else None
    if file is None or not file.is_file():
        return workspace.export().get("pending_operations") or []
    try:
        deployment = json.loads(file.read_text(encoding="utf-8"))["checkpoint"].get("latest") or {}
        return deployment.get("pending_operations") or []
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise RunbookError(
            f"the state of stack {workspace.stack} is damaged: {file}: {error}",
            f"`{file}.bak` and {root}/backups hold earlier ones",
        ) from error


def _forget(pending: list[dict[str, Any]], workspace: Workspace) -> None:
    names = ", ".join(sorted(_name(operation["resource"]["urn"]) for operation in pending))
    say(f"  forgetting operations that were under way: {names}")
    workspace.without_pending()


def _remove_unknown(stack: str, known: set[str | None], engine: docker.DockerClient) -> None:
    """Remove the stack's containers, then its networks, whose ids are not among those *known*."""
    for container in containers_of(stack, engine, stopped=True):
        if container.id not in known:
            _remove(f"container {container.name}", partial(container.remove, force=True))
    for network in engine.networks.list(filters={"label": f"runbook.stack={bare_name(stack)}"}):
        if network.id not in known:
            _remove(f"network {network.name}", network.remove)


def _remove(what: str, removal: Callable[[], None]) -> None:
    say(f"  removing {what}, which the state does not know")
    try:
        removal()
    except NotFound:
        return
    except APIError as error:
        raise RunbookError(
            f"{what} cannot be removed: {error.explanation}",
            "remove it by hand, then run the same command again",
        ) from error


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
