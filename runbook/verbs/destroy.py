"""`destroy`: no container, network, volume or secret of the stack remains."""

from __future__ import annotations

from typing import Annotated

import typer

from runbook.console import err, say
from runbook.deploy_lock import hold
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.options import DEFAULT_STACK, Stack
from runbook.progress import Progress
from runbook.recovery import recover
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.environment import is_dev
from runbook.workspace import Workspace

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask (dev stacks never ask).")]


def destroy(stack: Stack = DEFAULT_STACK, yes: Yes = False) -> None:
    """Delete the stack with all its data.

    Containers, networks, volumes, secrets, configuration.
    """
    if not (yes or is_dev(stack)):
        _confirm(stack)
    ensure_engine(say)
    with hold(stack, "destroy"):
        tear_down(Workspace(stack))


def tear_down(workspace: Workspace) -> None:
    """Delete all of the stack, if there is one."""
    if not workspace.exists():
        say(f"nothing to do: there is no stack {workspace.stack}")
        return
    recover(workspace)
    with Progress() as progress:
        try:
            workspace.destroy(progress)
        except OperationFailed as error:
            raise RunbookError(
                progress.why or str(error), "mend the cause and run the same command again"
            ) from error
    workspace.remove()
    say(f"stack {workspace.stack} is gone")


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
