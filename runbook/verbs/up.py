"""`up`: everything, from a bare machine to a gated live release."""

from __future__ import annotations

import time

from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.new_stack import ensure_stack
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.recovery import recover
from runbook.workspace import UpdateFailed, Workspace


def up(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Deploy the sources as they are: provision, gate, move the traffic, remove the old release."""
    began = time.monotonic()
    prepare(stack)
    workspace = Workspace(stack)
    ensure_stack(workspace)
    recover(workspace)
    if workspace.get("pinned"):
        say("the rollback ends here: deploying the sources as they are")
        workspace.unset("pinned")
    progress = deploy(workspace)
    outputs = workspace.outputs()
    if as_json:
        print_json(outputs)
    took = f"{time.monotonic() - began:.1f} s"
    if progress.changed == 0:
        say(f"nothing to do: release {outputs['release']} is live at {outputs['url']} ({took})")
    else:
        say(f"release {outputs['release']} is live at {outputs['url']} ({took})")


def deploy(workspace: Workspace) -> Progress:
    """Run the update and show it.

    Raises:
        RunbookError: it was stopped; says by what, and that the live release still has the traffic.
    """
    with Progress() as progress:
        try:
            workspace.up(progress)
        except UpdateFailed as error:
            raise RunbookError(
                progress.why or str(error),
                "live traffic was not moved; mend the cause and run the same command again",
            ) from error
    return progress
