"""`rollback`: an earlier release again, with its image, configuration and secrets, through its gate."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.recovery import recover
from runbook.verbs.up import answering, deploy
from runbook.workspace import Workspace, open_workspace

Release = Annotated[
    str | None, typer.Argument(help="A release from `bin/runbook releases`; without it the one before.")
]


def rollback(release: Release = None, stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Bring back an earlier release. It stays until the next `up`."""
    prepare(stack)
    workspace = open_workspace(stack)
    recover(workspace)
    manifest = choose(workspace.outputs(), release)
    progress = answering(workspace, bring_back(workspace, manifest))
    if as_json:
        print_json(progress.outputs)
    say(f"release {manifest['id']} is live again; the next `bin/runbook up` deploys the sources as they are")


def choose(outputs: dict[str, Any], release: str | None) -> dict[str, Any]:
    """The manifest of the release to bring back: the one named, else the last other one that was live.

    Raises:
        RunbookError: there is none, or it is live now; names those that can be had.
    """
    live = outputs.get("release")
    manifests = [entry["manifest"] for entry in outputs.get("releases") or []]
    earlier: dict[str, dict[str, Any]] = {}
    for manifest in reversed(manifests):
        if manifest["id"] != live:
            earlier.setdefault(manifest["id"], manifest)
    choices = ", ".join(earlier) or "none yet"
    if release is None:
        if not earlier:
            raise RunbookError(
                "there is no earlier release", "`bin/runbook up` deploys the sources as they are"
            )
        release = next(iter(earlier))
    if release == live:
        raise RunbookError(f"release {release} is live already", f"others: {choices}")
    if release not in earlier:
        raise RunbookError(f"release {release!r} is not known", f"can be brought back: {choices}")
    return earlier[release]


def bring_back(workspace: Workspace, manifest: dict[str, Any]) -> Progress:
    """Deploy the release of *manifest*; if that fails, the next update is as if nobody had asked.

    Raises:
        RunbookError: the update was stopped.
    """
    before = workspace.get("pinned")
    workspace.set("pinned", json.dumps(manifest, sort_keys=True))
    try:
        return deploy(workspace)
    except BaseException:  # Ctrl-C too: the next update must not go on with a rollback that did not happen
        _restore(workspace, before)
        raise


def _restore(workspace: Workspace, pinned: str | None) -> None:
    if pinned is None:
        workspace.unset("pinned")
    else:
        workspace.set("pinned", pinned)
