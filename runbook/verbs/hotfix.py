"""`hotfix`: the emergency procedure: a branch from what is live, a smoke-only gate, a long watch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from contracts.targets import read_targets
from infra.deploy_request import DeployRequest
from infra.history import History
from infra.suites import Depth
from runbook.console import say
from runbook.deployment import ensure_live, hold_for_deployment
from runbook.errors import RunbookError
from runbook.hotfix_branch import HotfixBranch, checked_name
from runbook.options import DEFAULT_STACK, Stack
from runbook.preparation import prepare
from runbook.stack_view import read_history
from runbook.toolchain.docker_engine import ensure_engine
from runbook.verbs.up import deploy_sources
from runbook.verbs.watch import watch_live
from runbook.workspace import Workspace, open_workspace


def _name(given: str) -> str:
    try:
        return checked_name(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Name = Annotated[str, typer.Argument(help="What is mended, as part of the branch's name.", callback=_name)]


def hotfix(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Mend what is live, past the load gate.

    The first time it makes the branch hotfix/NAME at the live commit. Commit the fix there and run the same
    command again: smoke, the traffic in steps, the watch, and the commands that merge the fix back.
    """
    ensure_engine(say)  # opening the stack sees to the CLI, and a branch needs nothing more
    workspace = open_workspace(stack)
    history = read_history(workspace)
    commit, main = live_commit(history)
    branch = HotfixBranch(name, commit)
    if not branch.is_checked_out():
        branch.begin()
        say(
            f"{branch.branch} begins at {commit}, which is live: make the fix, commit it, then run this again"
        )
        return
    last = history.records[-1]
    # Interrupted after the traffic had moved: what is left is to see it through.
    branch.check_ready(was_deployed=(last.release, last.verb, last.reason) == (history.live, "hotfix", name))
    prepare(stack)
    outputs = _deploy(workspace, name)
    say(f"release {outputs['release']} is live at {outputs['url']}")
    say("merge the fix back, or the next release is without it:")
    for command in branch.merge_back(main):
        say(f"  {command}")
    watch_live(stack, read_targets().watch.after_hotfix_s)


def _deploy(workspace: Workspace, name: str) -> dict[str, Any]:
    """Deploy the fix; the stack's outputs."""
    request = DeployRequest(verb="hotfix", reason=name, depth=Depth.SMOKE)
    with hold_for_deployment(workspace.stack, f"hotfix {name}") as holder:
        return ensure_live(workspace, request, deploy_sources(workspace, request, holder)).outputs


def live_commit(history: History) -> tuple[str, str]:
    """The commit that is live, and the branch that it was deployed from.

    Raises:
        RunbookError: nothing is live, or not from a commit.
    """
    if history.live is None:
        raise RunbookError("nothing is live yet", "`bin/runbook up`")
    sources = history.sources(history.live)
    if not sources.commit:
        raise RunbookError(
            f"release {history.live} was not deployed from a git checkout",
            "mend the sources that it came from, and `bin/runbook up`",
        )
    commit = sources.commit.rstrip("+")
    if commit != sources.commit:
        say(f"warning: {history.live} was deployed with changes after {commit} that are not in it")
    branch = sources.branch or "main"
    return commit, "main" if branch.startswith("hotfix/") else branch
