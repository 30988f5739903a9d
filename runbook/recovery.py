"""After an update that was killed: its lock, its pending operations, containers the state does not know.

Only what carries this state's own id is removed: another checkout's stack of the same name is left alone. A
volume is never removed: creating one that exists takes it over, with its data. Called by whoever holds the
deploy lock: no other update runs then.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import docker
import psutil  # type: ignore[import-untyped]
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from infra.dynamic.stack_id import NAME as STACK_ID
from infra.dynamic.stack_id import STATE_LABEL
from infra.observed import RELEASE_LABEL, ROLE_LABEL, STACK_LABEL, Observed, observe_stack, stack_containers
from infra.stack_name import bare_name
from runbook.console import say
from runbook.deploy_lock import Patience
from runbook.errors import RunbookError
from runbook.repair import gone_containers
from runbook.workspace import Workspace

_POLL_INTERVAL_S = 0.5
_CHANGES = {"up", "refresh", "destroy"}


@dataclass(frozen=True)
class Lock:
    """A lock of the state: who holds it."""

    pid: int
    host: str
    user: str
    since: str

    def __str__(self) -> str:
        """Who, where, since when."""
        return f"process {self.pid} of {self.user} on {self.host} since {self.since}"

    def is_stale(self, gone_hosts: Collection[str]) -> bool:
        """Whether the process that took it has ended: here, or on a machine whose deploy lock ran out."""
        if self.host != socket.gethostname():
            return self.host in gone_hosts
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return not _runs(self.pid)
        return b"pulumi" not in command


def recover(
    workspace: Workspace,
    gone_hosts: Collection[str] = (),
    engine: docker.DockerClient | None = None,
    patience: Patience | None = None,
    *,
    taken_out: str | None = None,
) -> None:
    """Clear away what a killed update left, and say what was done. Waits for one that is running.

    *gone_hosts*: where those were whose deploy lock was taken over. *taken_out*: a release that has just lost
    the traffic; it has requests and messages to end, and stays.

    Raises:
        RunbookError: another update goes on for longer than our patience, a thing cannot be removed, or this
            engine has nothing at all of the stack.
    """
    locks = _stale_locks(workspace, gone_hosts, patience or Patience())
    deployment = workspace.deployment()
    engine = engine or docker.from_env()
    _refuse_another_engine(workspace.stack, deployment, engine)
    pending = deployment.get("pending_operations") or []
    # In this order: if this is killed too, the lock or the pending operations make the next run begin again.
    _remove_orphans(workspace.stack, deployment, engine, taken_out)
    if locks or (gone_hosts and workspace.state_folder is None):
        say(f"an earlier update of stack {workspace.stack} was killed: removing its lock")
        workspace.cancel()
    if not is_in_order(deployment):
        say("an earlier update left the state's resources out of order: sorting them")
        workspace.sort()
    if pending:
        _forget(pending, workspace)


def _refuse_another_engine(stack: str, deployment: Mapping[str, Any], engine: docker.DockerClient) -> None:
    """An update against another engine would forget what runs, and begin anew there."""
    there = stack_containers(stack, engine)
    missing = gone_containers(deployment, there)
    if there or not missing:
        return
    label = {"label": f"{STACK_LABEL}={bare_name(stack)}"}
    if engine.networks.list(filters=label) or engine.volumes.list(filters=label):
        return
    raise RunbookError(
        f"this engine has nothing of stack {stack}, and by its state there are: {', '.join(missing)}",
        "nothing was changed; is it the right engine (DOCKER_HOST, `docker context show`)? If all of it is "
        f"lost: `bin/pulumi refresh --yes --stack {stack}`, then run the same command again",
    )


def read_locks(workspace: Workspace) -> list[Lock]:
    """The stack's locks in a file backend; of others, which keep theirs to themselves, what runs here.

    A CLI goes on to its end when whoever began it was killed.

    Raises:
        RunbookError: a lock does not say who holds it.
    """
    root = workspace.state_folder
    if root is None:
        return list(_updates_here(bare_name(workspace.stack)))
    files = sorted((root / "locks/organization/runbook" / bare_name(workspace.stack)).glob("*.json"))
    return [lock for file in files if (lock := _read_lock(file, workspace.stack)) is not None]


def state_id_in(deployment: Mapping[str, Any]) -> str | None:
    """The id by which a state's own containers are known; None before its first update."""
    for resource in deployment.get("resources") or []:
        if resource["urn"].endswith(f"pulumi-python:dynamic:Resource::{STACK_ID}"):
            return str((resource.get("outputs") or {}).get("value") or "") or None
    return None


def strangers(stack: str, deployment: Mapping[str, Any], engine: docker.DockerClient) -> list[Container]:
    """The containers of *stack* that its state, *deployment*, neither knows nor made."""
    state_id, known = state_id_in(deployment), ids_in(deployment)
    return [
        each
        for each in stack_containers(stack, engine)
        if each.id not in known and (state_id is None or each.labels.get(STATE_LABEL) != state_id)
    ]


def is_in_order(deployment: Mapping[str, Any]) -> bool:
    """Whether each resource of a state comes after those that it needs: Pulumi takes no other state."""
    seen: set[str] = set()
    for resource in deployment.get("resources") or []:
        of_properties = (resource.get("propertyDependencies") or {}).values()
        needs = {*(resource.get("dependencies") or ()), *chain.from_iterable(filter(None, of_properties))}
        needs |= {resource[key] for key in ("parent", "deletedWith") if resource.get(key)}
        if not needs <= seen:
            return False
        seen.add(resource["urn"])
    return True


def _updates_here(stack: str) -> Iterator[Lock]:
    """The CLIs on this machine that change *stack*."""
    for process in psutil.process_iter(["cmdline", "username", "create_time"]):
        told = process.info
        program, *words = told["cmdline"] or [""]
        named = dict(pairwise(words)).get("--stack", "")
        if Path(program).name == "pulumi" and bare_name(named) == stack and _CHANGES & set(words):
            since = datetime.datetime.fromtimestamp(told["create_time"], datetime.UTC)
            at = since.isoformat(timespec="seconds")
            yield Lock(process.pid, socket.gethostname(), told["username"], at)


def _read_lock(file: Path, stack: str) -> Lock | None:
    """The lock; None where it has been released meanwhile."""
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


def _stale_locks(workspace: Workspace, gone_hosts: Collection[str], patience: Patience) -> list[Lock]:
    """The locks, once all who still run have released theirs."""
    deadline, announced = patience.now() + patience.wait_s, False
    while True:
        locks = read_locks(workspace)
        running = [lock for lock in locks if not lock.is_stale(gone_hosts)]
        if not running:
            return locks
        if patience.now() >= deadline:
            raise RunbookError(
                f"stack {workspace.stack} is being updated by {running[0]}",
                "wait for it; if that machine or process is gone, "
                f"`bin/pulumi cancel --stack {workspace.stack}` ends its lock",
            )
        if not announced:
            say(f"waiting up to {patience.wait_s:g} s for the update by {running[0]}")
            announced = True
        patience.sleep(_POLL_INTERVAL_S)


def _forget(pending: list[dict[str, Any]], workspace: Workspace) -> None:
    names = ", ".join(sorted(_name(operation["resource"]["urn"]) for operation in pending))
    say(f"forgetting operations that were under way when an update was killed: {names}")
    workspace.without_pending()


def _remove_orphans(
    stack: str, deployment: Mapping[str, Any], engine: docker.DockerClient, taken_out: str | None
) -> None:
    """Remove the containers, then the networks, that this state made and does not know."""
    state_id = state_id_in(deployment)
    if state_id is None:
        return
    known = ids_in(deployment)
    observed = observe_stack(stack, engine)
    served = _release_unknown_to(known, observed)
    unknown = [
        each
        for each in observed.containers
        if each.labels.get(STATE_LABEL) == state_id
        and each.id not in known
        and (taken_out is None or each.labels.get(RELEASE_LABEL) != taken_out)
    ]
    moves = observed.live.moves if observed.live else ()
    had_traffic = {served, *(move.release for move in moves), *(move.replaced for move in moves)} - {None}
    spared = [each for each in unknown if served is not None and _serves(each, had_traffic)]
    if served:
        names = ", ".join(str(each.name) for each in spared) or "nothing of this state"
        say(
            f"warning: {served} has the traffic and the state knows none of it, as an old one would not; "
            f"left alone: {names}; restore a newer state, or remove what `up` finds in its way: nobody is "
            "served meanwhile"
        )
    for container in unknown:
        if container not in spared:
            _remove(f"container {container.name}", partial(container.remove, force=True))
    if served:
        return  # the network is what the rest of it is on
    labels = [f"{STACK_LABEL}={bare_name(stack)}", f"{STATE_LABEL}={state_id}"]
    for network in engine.networks.list(filters={"label": labels}):
        if network.id not in known:
            _remove(f"network {network.name}", network.remove)


def ids_in(deployment: Mapping[str, Any]) -> set[str]:
    """The ids of all that a state knows: a container's own, a volume's name."""
    return {resource["id"] for resource in deployment.get("resources") or [] if resource.get("id")}


def _serves(container: Container, releases: Collection[str | None]) -> bool:
    """Whether *container* serves, or can again: of one of *releases*, or what all releases share."""
    shared = container.labels.get(ROLE_LABEL) in ("proxy", "redis") and container.status == "running"
    return shared or container.labels.get(RELEASE_LABEL) in releases


def _release_unknown_to(known: Collection[str | None], observed: Observed) -> str | None:
    """The release that the proxy serves, if none of its containers is *known*: an old state was restored."""
    live = observed.live.release if observed.live else None
    of_live = {each.id for each in observed.containers if each.labels.get(RELEASE_LABEL) == live}
    return live if of_live and of_live.isdisjoint(known) else None


def _remove(what: str, removal: Callable[[], None]) -> None:
    say(f"removing {what}, which an earlier update left and the state does not know")
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
