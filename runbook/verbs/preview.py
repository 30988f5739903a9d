"""`preview`: what `up` would change."""

from __future__ import annotations

from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.new_stack import ensure_stack
from runbook.operation import OperationFailed
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.workspace import Workspace


def preview(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show what `up` would change."""
    prepare(stack)
    workspace = Workspace(stack)
    ensure_stack(workspace)
    changes = planned(workspace)
    if as_json:
        print_json({"changes": len(changes)})
    say(f"{len(changes)} changes" if changes else "nothing to do")


def planned(workspace: Workspace) -> list[str]:
    """Show what would change; the names.

    Raises:
        RunbookError: the program or a provider refused.
    """
    with Progress(planned=True) as progress:
        try:
            workspace.preview(progress)
        except OperationFailed as error:
            raise RunbookError(progress.why or str(error), "mend the cause and try again") from error
    return progress.changed
