"""One update of a stack, as `up`, `rollback`, `hotfix` and `watch` run it: shown, explained, seen through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contracts.targets import read_targets
from contracts.verdict import Report, Verdict
from infra.order import Order
from runbook.console import say
from runbook.deploy_lock import hold
from runbook.errors import RunbookError
from runbook.layout import layout_of
from runbook.liveness import Expected, why_not_live, why_silent
from runbook.operation import OnEvent, OperationFailed
from runbook.progress import Progress
from runbook.silence import Alertmanager, silenced
from runbook.workspace import Workspace, bare_name

_NAME_TAKEN = ("already exists", "already in use by container")  # Docker's words, as are the next
_PORT_TAKEN = ("port is already allocated", "address already in use")  # and the system's

ProblemOf = Callable[[Expected], str | None]


@contextmanager
def deploying(stack: str, what: str) -> Iterator[None]:
    """Hold the deploy lock of *stack* for the block and keep its alerts silent. *what*: for others to read.

    Raises:
        RunbookError: somebody else deploys, or the service was down when the silence ended.
    """
    layout = layout_of(stack)
    alertmanager = Alertmanager(layout.alertmanager_url) if layout.alertmanager_url else None
    silence = silenced(
        alertmanager, bare_name(stack), read_targets().silence.for_s, lambda: why_silent(layout.url, 0)
    )
    with hold(stack, what), silence:
        yield


def deploy(workspace: Workspace, order: Order) -> Progress:
    """Run the update that *order* asks for and show it, with the figures of the gate that it passed.

    Raises:
        RunbookError: it was stopped; says by what, and that the live release still has the traffic.
    """
    progress = _run(lambda on_event: workspace.up(on_event, order), workspace.stack)
    if "release" not in progress.outputs:  # a later CLI may tell them otherwise: the state has them too
        progress.outputs = workspace.outputs()
    for line in evidence_lines(progress):
        say(f"  {line}")
    return progress


def answering(
    workspace: Workspace, order: Order, progress: Progress, problem_of: ProblemOf = why_not_live
) -> Progress:
    """See that all runs and the live release answers; put right what was changed behind Pulumi's back.

    Raises:
        RunbookError: it does not answer after that either.
    """
    if problem := problem_of(_expected(workspace, progress)):
        say(f"not as it should be ({problem}): comparing the state with the engine")
        _run(workspace.refresh, workspace.stack)
        before, progress = progress, deploy(workspace, order)
        progress.changed = [*before.changed, *progress.changed]
        if problem := problem_of(_expected(workspace, progress)):
            raise RunbookError(
                f"the live release is not as it should be: {problem}",
                "see `docker ps -a` and `docker logs NAME`, or go back with `bin/runbook rollback`",
            )
    return progress


def _expected(workspace: Workspace, progress: Progress) -> Expected:
    outputs = progress.outputs
    return Expected(workspace.stack, outputs["url"], outputs["release"], frozenset(progress.must_run))


def evidence_lines(progress: Progress) -> list[str]:
    """What each suite found; nothing where no gate ran in this update."""
    release = progress.outputs.get("release")
    entries = progress.outputs.get("releases") or []
    if f"gate-{release}" not in progress.changed or not entries:
        return []
    found = [
        Report.model_validate(report)
        for report in [*entries[-1]["gate"], entries[-1].get("traffic")]
        if report
    ]
    return [line for report in found for line in _told(report)]


def _told(report: Report) -> list[str]:
    """A suite's verdict and its checks; not each one that had nothing to go by."""
    if report.verdict is Verdict.NO_EVIDENCE:
        return [f"{report.suite}: {report.verdict}: {report.not_passed[0].detail}"]
    return [f"{report.suite}: {report.verdict}", *(f"  {check}" for check in report.checks)]


def _run(operation: Callable[[OnEvent], None], stack: str) -> Progress:
    with Progress() as progress:
        try:
            operation(progress)
        except OperationFailed as error:
            why = progress.why or str(error)
            raise RunbookError(why, _what_to_do(why, stack)) from error
    return progress


def _what_to_do(why: str, stack: str) -> str:
    again = "the live release has the traffic; mend the cause and run the same command again"
    if any(words in why for words in _PORT_TAKEN):
        return (
            f"{again}: end what has the port, or take another: "
            f"`bin/pulumi config set --path runbook:layout.port NUMBER --stack {stack}` "
            "(or candidate_port, baseline_port, sandbox_port)"
        )
    if any(words in why for words in _NAME_TAKEN):
        shown = f"docker ps -a --filter label=runbook.stack={bare_name(stack)}"
        return (
            f"this engine has a stack {stack} that is not in this checkout's state (`{shown}`): "
            "deploy it from the checkout that made it, or make another with --stack"
        )
    return again
