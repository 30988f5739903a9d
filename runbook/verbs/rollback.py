"""`rollback`: an earlier release again, with its image, configuration and secrets, through its gate."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from runbook.console import say
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Stack
from runbook.preparation import prepare
from runbook.recovery import recover
from runbook.verbs.up import deploy
from runbook.workspace import Workspace, open_workspace

Release = Annotated[
    str | None, typer.Argument(help="A release from `bin/runbook releases`; without it the one before.")
]


def rollback(release: Release = None, stack: Stack = DEFAULT_STACK) -> None:
    """Bring back an earlier release. It stays until the next `up`."""
    prepare(stack)
    workspace = open_workspace(stack)
    recover(workspace)
    manifest = choose(workspace.outputs(), release)
    before = workspace.get("pinned")
    workspace.set("pinned", json.dumps(manifest, sort_keys=True))
    try:
        deploy(workspace)
    except BaseException:  # Ctrl-C too: the next update must not go on with a rollback that did not happen
        _restore(workspace, before)
        raise
    say(f"release {manifest['id']} is live again; the next `bin/runbook up` deploys the sources as they are")


def choose(outputs: dict[str, Any], release: str | None) -> dict[str, Any]:
    """The manifest of the release to bring back: the one named, else the last other one that was live.

    Raises:
        RunbookError: there is none, or it is live now; names those that can be had.
    """
    live = outputs.get("release")
    known = {entry["manifest"]["id"]: entry["manifest"] for entry in outputs.get("releases", [])}
    earlier = [
        entry["manifest"]["id"] for entry in outputs.get("releases", []) if entry["manifest"]["id"] != live
    ]
    choices = ", ".join(dict.fromkeys(reversed(earlier))) or "none yet"
    if release == live:
        raise RunbookError(f"release {release} is live already", f"others: {choices}")
    wanted = release or (earlier[-1] if earlier else None)
    if wanted not in known:
        what = f"release {release!r} is not known" if release else "there is no earlier release"
        raise RunbookError(what, f"can be brought back: {choices}")
    manifest: dict[str, Any] = known[wanted]
    return manifest


def _restore(workspace: Workspace, pinned: str | None) -> None:
    if pinned is None:
        workspace.unset("pinned")
    else:
        workspace.set("pinned", pinned)
