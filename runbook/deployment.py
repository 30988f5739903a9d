"""One update of a stack, as `up`, `rollback`, `hotfix` and `watch` run it: shown, explained, seen through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import requests
from docker.errors import DockerException

from contracts.targets import read_targets
from contracts.verdict import Report, Verdict
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.history import History
from infra.lock_holder import Holder
from infra.release_record import ReleaseRecord
from infra.stack_name import bare_name
from runbook.console import say
from runbook.deploy_lock import hold
from runbook.errors import RunbookError
from runbook.liveness import Expected, proxy_of, why_not_live, why_stack_silent
from runbook.monitoring_api import alertmanager_of
from runbook.operation import OnEvent, OperationFailed
from runbook.progress import Progress
from runbook.repair import repair
from runbook.silence import silenced
from runbook.workspace import Workspace

ProblemOf = Callable[[Expected], str | None]


@contextmanager
def hold_for_deployment(stack: str, what: str) -> Iterator[Holder]:
    """Hold the deploy lock of *stack* for the block and keep its alerts silent. *what*: for others to read.

    Raises:
        Refused: somebody else deploys, we were told to stop, or the service was down when the silence ended.
    """
    silence = silenced(
        alertmanager_of(stack),
        bare_name(stack),
        read_targets().silence.for_s,
        lambda: why_stack_silent(stack),
    )
    try:
        with hold(stack, what) as holder, silence:
            yield holder
    except KeyboardInterrupt as error:  # the traffic may have moved already
        hint = f"{situation(stack)}; run the same command again: it goes on from what is there"
        raise RunbookError("interrupted", hint) from error


def deploy(workspace: Workspace, request: DeployRequest, targets: Sequence[str] = ()) -> Progress:
    """Run the update that *request* asks for and show it, with the figures of the gate that it passed.

    Only the resources whose URN fits one of *targets* are touched, if any are given.

    Raises:
        RunbookError: it was stopped; says by what, and who has the traffic.
    """
    progress = _run(lambda on_event: workspace.up(on_event, request, targets), workspace.stack)
    if "release" not in progress.outputs:  # a later CLI may tell them otherwise: the state has them too
        progress.outputs = workspace.outputs()
    for line in evidence_lines(progress):
        say(f"  {line}")
    return progress


def rehearse(workspace: Workspace, request: DeployRequest) -> None:
    """See that the program accepts the update: before anything is taken away for it.

    Raises:
        RunbookError: it does not; says why.
    """
    request = request.model_copy(update={"is_rehearsal": True})

    def operation(on_event: OnEvent) -> None:
        workspace.preview(lambda event: on_event(event) if event.diagnostic_event else None, request)

    _run(operation, workspace.stack)


def refresh(workspace: Workspace, targets: Sequence[str] = ()) -> None:
    """Compare the state with the engine: what is gone there is made again by the next update.

    Only the resources whose URN fits one of *targets* are looked at, if any are given.

    Raises:
        RunbookError: it was stopped; says by what, and who has the traffic.
    """
    _run(lambda on_event: workspace.refresh(on_event, targets), workspace.stack)


def ensure_live(
    workspace: Workspace,
    request: DeployRequest,
    progress: Progress,
    problem_of: ProblemOf = why_not_live,
    repair: Callable[[Workspace], bool] = repair,
) -> Progress:
    """See that all runs and the live release answers; put right what was changed behind Pulumi's back.

    Raises:
        RunbookError: it does not answer after that either.
    """
    if problem := problem_of(_expected(workspace, progress)):
        say(f"not as it should be ({problem}): comparing the state with the engine")
        if not repair(workspace):
            refresh(workspace)
        before, progress = progress, deploy(workspace, request)
        progress.changed = [*before.changed, *progress.changed]
        needed, whole = (_expected(workspace, progress, kept=kept) for kept in (False, True))
        if problem := problem_of(needed):
            hint = "see `docker ps -a` and `docker logs NAME`"
            if len(History.in_state(progress.outputs).good) > 1:
                hint += f", or go back: `bin/runbook rollback --stack {workspace.stack}`"
            raise RunbookError(f"the live release is not as it should be: {problem}", hint)
        if whole != needed and (problem := problem_of(whole)):
            say(f"warning: {problem}: those of a release that is kept for a rollback")
    return progress


def _expected(workspace: Workspace, progress: Progress, *, kept: bool = True) -> Expected:
    """All that is to run; without those *kept* only what the live release needs."""
    outputs = progress.outputs
    live = outputs["release"]
    wanted = {each for each, release in progress.must_run.items() if kept or release in ("", live)}
    return Expected(workspace.stack, outputs["url"], live, wanted)


def evidence_lines(progress: Progress) -> list[str]:
    """What each suite found; nothing where the traffic did not move in this update."""
    release = progress.outputs.get("release")
    records = [ReleaseRecord.model_validate(each) for each in progress.outputs.get("releases") or []]
    if "ledger" not in progress.changed or not records or records[-1].release != release:
        return []
    reports = [*records[-1].gate, *([records[-1].traffic] if records[-1].traffic else [])]
    return [line for report in reports for line in _report_lines(report)]


def _report_lines(report: Report) -> list[str]:
    """A suite's verdict and its checks; not each one that had nothing to go by."""
    if report.verdict is Verdict.NO_EVIDENCE:
        return [f"{report.suite}: {report.verdict}: {report.not_passed[0].detail}"]
    return [f"{report.suite}: {report.verdict}", *(f"  {check}" for check in report.checks)]


def _run(operation: Callable[[OnEvent], None], stack: str) -> Progress:
    with Progress() as progress:
        try:
            operation(progress)
        except OperationFailed as error:
            hint = progress.hint or f"{situation(stack)}; mend the cause and run the same command again"
            raise RunbookError(progress.why or str(error), hint) from error
    return progress


def situation(stack: str) -> str:
    """Who has the traffic now, as the proxy and the public frontend say: for whoever reads an error."""
    try:
        live = proxy_of(stack).live_route()
        silent = why_stack_silent(stack) if live else None
    except (DockerException, requests.RequestException, Refused) as error:
        return f"who has the traffic of stack {stack} cannot be seen ({error})"
    if live is None:
        return f"no release of stack {stack} has traffic yet"
    return f"release {live.release} has the traffic" + (f", and does not answer: {silent}" if silent else "")
