"""`up`: everything, from a bare machine to a gated live release."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import docker
import typer

from contracts.targets import read_targets
from infra.deploy_request import DeployRequest
from infra.lock_holder import Holder
from infra.manifest import BUILD
from infra.stack_name import bare_name
from runbook.console import print_json, say
from runbook.deployment import deploy, ensure_live, hold_for_deployment, rehearse
from runbook.git_state import refuse_dirty
from runbook.new_stack import ensure_stack
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.pruning import prune
from runbook.recovery import recover
from runbook.repair import repair, say_failing
from runbook.rotation_end import end_expired
from runbook.stack_view import read_history, refused_in
from runbook.verbs.watch import watch_live
from runbook.watch_note import is_watch_due
from runbook.workspace import Workspace

NoWatch = Annotated[bool, typer.Option("--no-watch", help="End as soon as the release is live.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also a release that was rolled back, or from sources not committed.")
]
Replace = Annotated[
    bool, typer.Option("--replace-infrastructure", help="Also where that ends proxy or Redis for seconds.")
]
RefreshImages = Annotated[
    bool, typer.Option("--refresh-images", help="Take the latest packages for the base images first.")
]


def up(
    stack: Stack = DEFAULT_STACK,
    force: Force = False,
    no_watch: NoWatch = False,
    refresh_images: RefreshImages = False,
    replace_infrastructure: Replace = False,
    as_json: Json = False,
) -> None:
    """Deploy the sources as they are.

    Provision, gate, move the traffic, see that all runs, watch the release for a while.
    """
    began = time.monotonic()
    refuse_dirty(stack, force=force)
    prepare(stack, refresh_images=refresh_images)
    with hold_for_deployment(stack, "up") as holder:
        workspace = Workspace(stack)
        request = DeployRequest(force=force, replace_infrastructure=replace_infrastructure)
        progress = ensure_live(workspace, request, deploy_sources(workspace, request, holder))
    if as_json:
        print_json(progress.outputs)
    release, url = progress.outputs["release"], progress.outputs["url"]
    took = f"{time.monotonic() - began:.1f} s"
    say(f"{'' if progress.changed else 'nothing to do: '}release {release} is live at {url} ({took})")
    say_failing(stack)
    if progress.changed:
        refused = [record.release for record in refused_in(workspace.deployment())]
        reports = BUILD / "reports" / bare_name(stack)
        if gone := prune(read_history(workspace, progress.outputs), refused, reports):
            say(f"images of old releases removed: {', '.join(gone)}")
    for_s = read_targets().watch.after_up_s
    if for_s and not no_watch and is_watch_due(stack):
        watch_live(stack, for_s)


def deploy_sources(
    workspace: Workspace, request: DeployRequest, holder: Holder, engine: docker.DockerClient | None = None
) -> Progress:
    """Make the stack if there is none, clear up after a killed update, repair what does not run, deploy."""
    ensure_stack(workspace, engine)
    recover(workspace, holder.took_over, engine)
    repair(workspace, engine, rehearse=partial(rehearse, workspace, request))
    end_expired(workspace)
    return deploy(workspace, request)
