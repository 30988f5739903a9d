"""`watch`: goes on judging the release that is live, and brings back the one before if it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from contracts.targets import read_targets
from contracts.verdict import Check
from infra.history import History
from runbook.bringing_back import bring_back
from runbook.console import err, say
from runbook.deployment import deploying
from runbook.errors import RunbookError
from runbook.looking import Looker
from runbook.options import DEFAULT_STACK, Stack
from runbook.recovery import recover
from runbook.watching import Limits, Watching
from runbook.watching import watch as watch_release
from runbook.workspace import Workspace, open_workspace

Minutes = Annotated[
    float | None, typer.Option("--minutes", min=0.1, help="For how long, instead of targets.toml's.")
]


def watch(minutes: Minutes = None, stack: Stack = DEFAULT_STACK) -> None:
    """Watch the live release, and roll back by itself.

    Errors and times of its answers, its containers, its queue. Ctrl-C ends the watch; the release stays.
    """
    for_s = 60 * minutes if minutes else read_targets().watch.after_hotfix_s
    workspace = open_workspace(stack)
    watch_live(workspace, workspace.outputs(), for_s)


def watch_live(workspace: Workspace, outputs: Mapping[str, Any], for_s: float) -> None:
    """Watch what is live in the stack of *workspace*, whose *outputs* these are, for so many seconds.

    Raises:
        RunbookError: it failed; says by what, and what is live now.
    """
    history = History.of(outputs)
    if history.live is None:
        raise RunbookError(f"no release of stack {workspace.stack} is live yet", "`bin/runbook up`")
    targets = read_targets()
    watching = Watching(history.live, Limits(targets.watch, targets.switch))
    say(f"watching {history.live} for {for_s:g} s; Ctrl-C ends that and changes nothing")
    try:
        failing = watch_release(watching, Looker(workspace.stack, str(outputs["url"])), for_s)
    except KeyboardInterrupt:
        say(f"not watched any longer: {history.live} stays live")
        return
    if failing is None:
        say(f"{history.live} is not live any longer: the watch ends")
    elif failing:
        take_out(workspace, history, failing)
    else:
        for check in watching.judge():
            say(f"  {check}")
        say(f"{history.live} has done well for {for_s:g} s")


def take_out(workspace: Workspace, history: History, failing: list[Check]) -> None:
    """Bring back the last good release instead of the one that is *failing*.

    Raises:
        RunbookError: always; the release that was watched has failed.
    """
    reason = "; ".join(map(str, failing))
    err.print(f"{history.live} fails: {reason}", style="bold red", markup=False)
    try:
        with deploying(workspace.stack, f"watch: {history.live} fails"):
            recover(workspace)
            manifest = bring_back(workspace, history, None, verb="watch", reason=reason)
    except RunbookError as error:
        raise RunbookError(
            f"release {history.live} fails ({reason}), and stays live: {error.message}", error.hint
        ) from error
    raise RunbookError(
        f"release {history.live} failed and was taken out of traffic: {reason}",
        f"{manifest['id']} is live again; `bin/runbook releases` has the reason, mend it and run `up` again",
    )
