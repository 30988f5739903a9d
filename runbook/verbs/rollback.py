"""`rollback`: an earlier release again, with its image, configuration and secrets, through a short gate."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from infra.history import History
from runbook.bringing_back import bring_back
from runbook.console import print_json, say
from runbook.deployment import deploying
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.recovery import recover
from runbook.workspace import open_workspace

Release = Annotated[
    str | None, typer.Argument(help="A release from `bin/runbook releases`; without it the last good one.")
]
Force = Annotated[bool, typer.Option("--force", help="Also past what says that it should not.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; shown by `releases`.")]


def rollback(
    release: Release = None,
    reason: Reason = "",
    force: Force = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Bring back an earlier release.

    The release that was live is not deployed again, unless by `up --force`.
    """
    began = time.monotonic()
    prepare(stack)
    workspace = open_workspace(stack)
    with deploying(stack, f"rollback {release or ''}".strip()):
        recover(workspace)
        history = History.of(workspace.outputs())
        manifest = bring_back(workspace, history, release, verb="rollback", reason=reason, force=force)
    if as_json:
        print_json(workspace.outputs())
    say(f"release {manifest['id']} is live again ({time.monotonic() - began:.1f} s)")
    if history.live:
        say(f"`bin/runbook up` will not deploy {history.live} again unless it is told --force")
