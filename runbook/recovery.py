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
from runbook.workspace import Workspace

_CONTAINER = "docker:index/container:Container"
_NETWORK = "docker:index/network:Network"
WAIT_S = 120.0
_LOOK_EACH_S = 0.5


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


def recover(workspace: Workspace, wait_s: float = WAIT_S) -> None:
    """Clear away what a killed update left, and say what was done. Waits for one that is running.

    Raises:
        RunbookError: another update is still running after *wait_s*.
    """
    locks = _stale_locks(workspace.stack, wait_s)
    pending = _pending_operations(workspace)
    if not locks and not pending:
        return
    say(f"an earlier update of stack {workspace.stack} was killed: clearing up")
    # In this order: if this is killed too, the lock or the pending operations make the next run begin again.
    _remove_unknown(workspace.stack, workspace.export().get("resources") or [])
    if locks:
        say(f"  removing its lock ({locks[0]}, which is gone)")
        workspace.cancel()
    if pending:
        names = ", ".join(sorted(_name(operation["resource"]["urn"]) for operation in pending))
        say(f"  forgetting operations that were under way: {names}")
        workspace.without_pending()


def read_locks(stack: str) -> list[Lock]:
    """The locks of *stack* in a file backend; other backends keep theirs to themselves."""
    root = _file_backend()
    files = sorted((root / "locks/organization/runbook" / stack).glob("*.json")) if root else []
    found = [json.loads(file.read_text()) for file in files]
    return [Lock(lock["pid"], lock["hostname"], lock["username"], lock["timestamp"]) for lock in found]


def _stale_locks(stack: str, wait_s: float) -> list[Lock]:
    """The locks, once all who still run have let go of theirs."""
    deadline, told = time.monotonic() + wait_s, False
    while running := [lock for lock in read_locks(stack) if not lock.is_stale]:
        if time.monotonic() > deadline:
            raise RunbookError(
                f"stack {stack} is being updated by {running[0]}",
                "wait for it; if that machine is gone, `bin/pulumi cancel` ends its lock",
            )
        if not told:
            say(f"waiting up to {wait_s:g} s for the update by {running[0]}")
            told = True
        time.sleep(_LOOK_EACH_S)
    return read_locks(stack)


def _pending_operations(workspace: Workspace) -> list[dict[str, Any]]:
    """What the state says is under way; read from the file, where it is one, to spare a run of the CLI."""
    root = _file_backend()
    file = root / "stacks/runbook" / f"{workspace.stack}.json" if root else None
    if file is not None and file.is_file():
        deployment = json.loads(file.read_text()).get("checkpoint", {}).get("latest") or {}
    else:
        deployment = workspace.export()
    return deployment.get("pending_operations") or []


def _file_backend() -> Path | None:
    backend = os.environ.get("PULUMI_BACKEND_URL", "")
    return Path(backend.removeprefix("file://")) / ".pulumi" if backend.startswith("file://") else None


def _remove_unknown(stack: str, resources: list[dict[str, Any]]) -> None:
    known = {resource.get("id") for resource in resources if resource["type"] in (_CONTAINER, _NETWORK)}
    client = docker.from_env()
    label = f"runbook.stack={stack}"
    for container in client.containers.list(all=True, filters={"label": label}):
        if container.id not in known:
            say(f"  removing container {container.name}, which the state does not know")
            _ignore_gone(partial(container.remove, force=True))
    for network in client.networks.list(filters={"label": label}):
        if network.id not in known:
            say(f"  removing network {network.name}, which the state does not know")
            _ignore_gone(network.remove)


def _ignore_gone(removal: Callable[[], None]) -> None:
    try:
        removal()
    except NotFound:
        return
    except APIError as error:
        raise RunbookError(f"could not be removed: {error.explanation}", "see `docker ps -a`") from error


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
