"""`up`: everything, from a bare machine to a gated live release."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from contracts.targets import read_targets
from infra.history import History
from infra.order import Order
from runbook.console import print_json, say
from runbook.deployment import answering, deploy, deploying
from runbook.git_state import refuse_dirty
from runbook.new_stack import ensure_stack
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.pruning import prune
from runbook.recovery import recover
from runbook.rotation_end import end_expired
from runbook.verbs.releases import refused_in
from runbook.verbs.watch import watch_live
from runbook.workspace import Workspace

NoWatch = Annotated[bool, typer.Option("--no-watch", help="End as soon as the release is live.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also a release that was rolled back, or from sources not committed.")
]


def up(
    stack: Stack = DEFAULT_STACK, force: Force = False, no_watch: NoWatch = False, as_json: Json = False
) -> None:
    """Deploy the sources as they are.

    Provision, gate, move the traffic, see that all runs, watch the release for a while.
    """
    began = time.monotonic()
    refuse_dirty(stack, force=force)
    prepare(stack)
    with deploying(stack, "up"):
        workspace, order = Workspace(stack), Order(force=force)
        progress = answering(workspace, order, deploy_sources(workspace, order))
    if as_json:
        print_json(progress.outputs)
    release, url = progress.outputs["release"], progress.outputs["url"]
    took = f"{time.monotonic() - began:.1f} s"
    say(f"{'' if progress.changed else 'nothing to do: '}release {release} is live at {url} ({took})")
    if progress.changed:
        refused = [str(entry["release"]) for entry in refused_in(workspace.export())]
        if gone := prune(History.of(progress.outputs), refused):
            say(f"images of old releases removed: {', '.join(gone)}")
    for_s = read_targets().watch.after_up_s
    if f"gate-{release}" in progress.changed and for_s and not no_watch:
        watch_live(workspace, progress.outputs, for_s)


def deploy_sources(workspace: Workspace, order: Order) -> Progress:
    """Make the stack if there is none, clear up after a killed update, deploy."""
    ensure_stack(workspace)
    recover(workspace)
    end_expired(workspace)
    return deploy(workspace, order)
