"""After an update that was killed: its lock, pending operations, containers the state does not know.

Only a lock whose process is dead, or pending operations in the state, are taken as the sign of such an
update. Without one nothing is removed: a container with the stack's label may belong to another checkout.
Volumes are never removed: creating one that exists takes it over, with its data.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from runbook.console import say
from runbook.errors import RunbookError
from runbook.workspace import Workspace

_CONTAINER = "docker:index/container:Container"
_NETWORK = "docker:index/network:Network"


@dataclass(frozen=True)
class Lock:
    """A lock of the file backend: who holds it."""

    pid: int
    host: str
    user: str
    since: str

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


def recover(workspace: Workspace) -> None:
    """Clear away what a killed update left, and say what was done.

    Raises:
        RunbookError: another update is running.
    """
    locks = read_locks(workspace.stack)
    for lock in locks:
        if not lock.is_stale:
            raise RunbookError(
                f"stack {workspace.stack} is being updated by process {lock.pid} of {lock.user} on "
                f"{lock.host} since {lock.since}",
                "wait for it; if that machine is gone, `bin/pulumi cancel` ends its lock",
            )
    state = workspace.export()
    pending = state.get("pending_operations") or []
    if not locks and not pending:
        return
    say(f"an earlier update of stack {workspace.stack} was killed: clearing up")
    _remove_unknown(workspace.stack, state.get("resources") or [])
    if locks:
        say(f"  removed its lock (process {locks[0].pid} is gone)")
        workspace.cancel()
    if pending:
        names = ", ".join(sorted(_name(operation["resource"]["urn"]) for operation in pending))
        say(f"  forgot operations that were under way: {names}")
        workspace.without_pending()


def read_locks(stack: str) -> list[Lock]:
    """The locks of *stack* in a file backend; other backends keep theirs to themselves."""
    backend = os.environ.get("PULUMI_BACKEND_URL", "")
    if not backend.startswith("file://"):
        return []
    folder = Path(backend.removeprefix("file://")) / ".pulumi/locks/organization/runbook" / stack
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return [Lock(lock["pid"], lock["hostname"], lock["username"], lock["timestamp"]) for lock in found]


def _remove_unknown(stack: str, resources: list[dict[str, Any]]) -> None:
    known = {resource.get("id") for resource in resources if resource["type"] in (_CONTAINER, _NETWORK)}
    client = docker.from_env()
    label = {"label": f"runbook.stack={stack}"}
    for container in client.containers.list(all=True, filters=label):
        if container.id not in known:
            say(f"  removing container {container.name}, which the state does not know")
            _ignore_gone(lambda c=container: c.remove(force=True))  # type: ignore[misc]
    for network in client.networks.list(filters=label):
        if network.id not in known:
            say(f"  removing network {network.name}, which the state does not know")
            _ignore_gone(network.remove)


def _ignore_gone(removal: Any) -> None:
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
