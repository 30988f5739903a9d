"""`destroy`: no container, network, volume or secret of the stack remains."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Annotated

import docker
import typer
from docker.models.containers import Container

from infra.lock_holder import Holder
from infra.observed import STACK_LABEL, removal_by_hand
from infra.stack_name import bare_name
from runbook.console import err, say
from runbook.deploy_lock import hold
from runbook.errors import RunbookError
from runbook.log_copy import folder_of
from runbook.operation import OperationFailed
from runbook.options import DEFAULT_STACK, Stack
from runbook.progress import Progress
from runbook.recovery import recover, state_id_in, strangers
from runbook.stack_volumes import remove_volumes, volumes_in
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace, elsewhere

_DESTROYED = "destroyed"
"""The configuration's key for the id of the state that `destroy` has begun to delete, then its volumes."""

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask (dev stacks never ask).")]


def destroy(stack: Stack = DEFAULT_STACK, yes: Yes = False) -> None:
    """Delete the stack with all its data.

    Containers, networks, volumes, secrets, configuration, and what this machine fetched of its logs.
    """
    if not (yes or is_dev(stack)):
        _confirm(stack)
    ensure_engine(say)
    with hold(stack, "destroy") as holder:
        tear_down(Workspace(stack), holder)


def tear_down(workspace: Workspace, holder: Holder, engine: docker.DockerClient | None = None) -> None:
    """Delete all of the stack, if there is one.

    Raises:
        RunbookError: the engine has the stack by another state, or something cannot be deleted.
    """
    engine = engine or docker.from_env()
    is_made = workspace.exists()
    if others := strangers(workspace.stack, workspace.deployment() if is_made else {}, engine):
        raise _not_ours(workspace.stack, others)
    if not is_made:
        say(f"nothing to do: there is no stack {workspace.stack}")
        return
    recover(workspace, holder.took_over, engine)
    state_id, volumes = _note_destroyed(workspace)
    workspace.unprotect()
    with Progress() as progress:
        try:
            workspace.destroy(progress)
        except OperationFailed as error:
            raise RunbookError(
                progress.why or str(error), "mend the cause and run the same command again"
            ) from error
    remove_volumes(workspace.stack, state_id, engine, volumes)
    if (logs := folder_of(workspace.stack)).exists():
        shutil.rmtree(logs)
    workspace.remove()
    say(f"stack {workspace.stack} is gone")


def _note_destroyed(workspace: Workspace) -> tuple[str | None, set[str]]:
    """The state's id and the volumes that it knows, noted: once they are destroyed, it knows neither."""
    deployment = workspace.deployment()
    state_id, volumes = state_id_in(deployment), volumes_in(deployment)
    noted = (workspace.get(_DESTROYED) or "").split()
    if noted and state_id in (None, noted[0]):  # an earlier run was stopped before the last volume
        state_id, volumes = noted[0], {*volumes, *noted[1:]}
    if state_id:
        workspace.set(_DESTROYED, " ".join([state_id, *sorted(volumes)]))
    return state_id, volumes


def _not_ours(stack: str, others: Sequence[Container]) -> RunbookError:
    """The refusal: another checkout's, or a lost state's, would go on without the secrets that it has."""
    names = ", ".join(sorted(str(each.name) for each in others))
    return RunbookError(
        f"this engine has containers of stack {stack} that are not in this checkout's state: {names}; "
        "nothing was deleted",
        f"{elsewhere(stack)}; or, to give it up: {removal_by_hand(stack)}; "
        f"`docker volume ls --filter label={STACK_LABEL}={bare_name(stack)}` lists what holds its data",
    )


def _confirm(stack: str) -> None:
    if not err.is_terminal:
        raise RunbookError(
            f"destroying stack {stack} deletes its data", "say --yes to do it without a terminal"
        )
    if (
        typer.prompt(f"This deletes stack {stack} with all its data. Type its name to go on", err=True)
        != stack
    ):
        raise RunbookError("that is not its name: nothing was deleted", "run the command again")
