"""`up`: everything, from a bare machine to a gated live release."""

from __future__ import annotations

import time

from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.new_stack import ensure_stack
from runbook.operation import OperationFailed
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.recovery import recover
from runbook.workspace import Workspace


def up(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Deploy the sources as they are: provision, gate, move the traffic, remove the old release."""
    began = time.monotonic()
    prepare(stack)
    workspace = Workspace(stack)
    ensure_stack(workspace)
    recover(workspace)
    if workspace.is_set("pinned"):
        say("the rollback ends here: deploying the sources as they are")
        workspace.unset("pinned")
    progress = deploy(workspace)
    if as_json:
        print_json(progress.outputs)
    release, url = progress.outputs["release"], progress.outputs["url"]
    took = f"{time.monotonic() - began:.1f} s"
    say(f"{'' if progress.changed else 'nothing to do: '}release {release} is live at {url} ({took})")


def deploy(workspace: Workspace) -> Progress:
    """Run the update and show it.

    Raises:
        RunbookError: it was stopped; says by what, and that the live release still has the traffic.
    """
    with Progress() as progress:
        try:
            workspace.up(progress)
        except OperationFailed as error:
            raise RunbookError(
                progress.why or str(error),
                "live traffic was not moved; mend the cause and run the same command again",
            ) from error
    return progress
