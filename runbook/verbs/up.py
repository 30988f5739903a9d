"""`up`: everything, from a bare machine to a gated live release."""

from __future__ import annotations

import time
from collections.abc import Callable, Set

from contracts.verdict import Report
from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.liveness import why_not_live
from runbook.new_stack import ensure_stack
from runbook.operation import OnEvent, OperationFailed
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.preparation import prepare
from runbook.progress import Progress
from runbook.recovery import recover
from runbook.workspace import Workspace

_PORT_TAKEN = ("port is already allocated", "address already in use")  # Docker's words, and the system's


def up(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Deploy the sources as they are.

    Provision, gate, move the traffic, remove the old release, see that all runs.
    """
    began = time.monotonic()
    prepare(stack)
    workspace = Workspace(stack)
    progress = answering(workspace, deploy_sources(workspace))
    if as_json:
        print_json(progress.outputs)
    release, url = progress.outputs["release"], progress.outputs["url"]
    took = f"{time.monotonic() - began:.1f} s"
    say(f"{'' if progress.changed else 'nothing to do: '}release {release} is live at {url} ({took})")


def deploy_sources(workspace: Workspace) -> Progress:
    """Make the stack if there is none, clear up after a killed update, end a rollback, deploy."""
    ensure_stack(workspace)
    recover(workspace)
    if workspace.is_set("pinned"):
        say("the rollback ends here: deploying the sources as they are")
        workspace.unset("pinned")
    return deploy(workspace)


def answering(
    workspace: Workspace,
    progress: Progress,
    problem_of: Callable[[str, Set[str]], str | None] = why_not_live,
) -> Progress:
    """See that all runs and the live release answers; put right what was changed behind Pulumi's back.

    Raises:
        RunbookError: it does not answer after that either.
    """
    url = str(progress.outputs["url"])
    if problem := problem_of(url, progress.must_run):
        say(f"not as it should be ({problem}): comparing the state with the engine")
        _run(workspace.refresh, workspace.stack)
        progress = deploy(workspace)
        if problem := problem_of(url, progress.must_run):
            raise RunbookError(
                f"the live release is not as it should be: {problem}",
                "see `docker ps -a` and `docker logs NAME`, or go back with `bin/runbook rollback`",
            )
    return progress


def deploy(workspace: Workspace) -> Progress:
    """Run the update and show it, with the figures of the gate that it passed.

    Raises:
        RunbookError: it was stopped; says by what, and that the live release still has the traffic.
    """
    progress = _run(workspace.up, workspace.stack)
    if "release" not in progress.outputs:  # a later CLI may tell them otherwise: the state has them too
        progress.outputs = workspace.outputs()
    for line in gate_lines(progress):
        say(f"  {line}")
    return progress


def _run(operation: Callable[[OnEvent], None], stack: str) -> Progress:
    with Progress() as progress:
        try:
            operation(progress)
        except OperationFailed as error:
            why = progress.why or str(error)
            raise RunbookError(why, _what_to_do(why, stack)) from error
    return progress


def gate_lines(progress: Progress) -> list[str]:
    """What each suite found, and the load's figures; nothing where no gate ran in this update."""
    release = progress.outputs.get("release")
    entries = progress.outputs.get("releases") or []
    if f"gate-{release}" not in progress.changed or not entries:
        return []
    reports = [Report.model_validate(report) for report in entries[-1]["gate"]]
    found = [f"{report.suite}: {report.verdict}, {len(report.checks)} checks" for report in reports]
    figures = [check for report in reports if report.suite == "load" for check in report.checks]
    return [*found, *(f"  {check}" for check in figures)]


def _what_to_do(why: str, stack: str) -> str:
    again = "live traffic was not moved; mend the cause and run the same command again"
    if any(words in why for words in _PORT_TAKEN):
        return (
            f"{again}: end what has the port, or take another: "
            f"`bin/pulumi config set --path runbook:layout.port NUMBER --stack {stack}` "
            "(or candidate_port, sandbox_port)"
        )
    return again
