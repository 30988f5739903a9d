"""What a restored release needs of Pulumi: containers that are gone are made again, and the state follows."""

from __future__ import annotations

import docker
from docker.errors import ImageNotFound

from contracts.verdict import Report
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.history import History
from infra.lock_holder import Holder
from infra.manifest import Manifest, Secrets
from infra.observed import Observed, observe_stack
from infra.stack_name import prefix_of
from infra.suites import Depth
from runbook.console import say
from runbook.deployment import deploy, refresh
from runbook.errors import RunbookError
from runbook.recovery import recover
from runbook.repair import gone_containers
from runbook.restore import (
    Restore,
    choose,
    kept_target,
    lost_containers,
    shift_to_kept,
    start_proxy,
    taken_out,
)
from runbook.restore_checks import check_passable, check_secrets
from runbook.secret_values import known_secrets
from runbook.stack_view import refused_in
from runbook.workspace import Workspace, open_workspace

_UPDATE_S, _REFRESH_S, _CONTAINER_S = 10, 5, 2
_MOVING = ("candidate", "trial", "live", "ledger")
SHARED = (
    "network",
    *("redis-data", "redis-conf", "redis-conf-seed", "redis"),
    *("proxy-routes", "proxy-routes-seed", "proxy"),
)


def targets_of(release: str) -> tuple[str, ...]:
    """The resources that an update for *release* may touch, as `pulumi up --target` takes them."""
    return (f"**{release}**", "**::gate-*", "**::promoted-*", *(f"**::{name}" for name in _MOVING))


def _missing(workspace: Workspace) -> list[str]:
    """What every release needs and the state does not have, as `pulumi up --target` takes it.

    Somebody removed it, an `up` took note and was refused before it made it again.
    """
    resources = workspace.deployment().get("resources") or []
    known = {resource["urn"].rpartition("::")[2] for resource in resources}
    prefix = prefix_of(workspace.stack)
    return [f"**::{prefix}-{part}" for part in SHARED if f"{prefix}-{part}" not in known]


def restore_by_state(request: Restore, observed: Observed, holder: Holder) -> str:
    """Bring back a release that the engine alone does not know, or has not all containers of; its id.

    Raises:
        Refused: there is none, it is not whole, or it did not pass; the live release stays then.
    """
    try:
        workspace = open_workspace(request.stack)
        outputs = workspace.outputs()
    except Refused as error:
        raise _without_state(error, request, observed) from error.__cause__
    if observed.containers:
        start_proxy(observed)
    history = History.of(outputs, observed)
    if request.release and request.release not in history.releases:
        _refuse_refused(request.release, history, workspace)
    release = choose(history, request.release)
    if kept_target(history, observed, release, force=request.force) == release:
        report = shift_to_kept(request, history, observed, release)
        follow(request, release, observed, report, holder)
        return release
    _tell_disagreement(history)
    manifest = history.manifests.get(release)
    if manifest is None:
        raise RunbookError(
            f"nothing is known of what release {release} consists of", "`bin/runbook releases`"
        )
    values = check_whole(known_secrets(workspace), manifest)
    if not request.force:
        check_passable(history, manifest)
        if observed.live:
            check_secrets(request.stack, observed, observed.live, release, values)
    is_behind = _counts_on_lost(workspace, release, observed)
    say(_what_is_made(history, observed, manifest, _REFRESH_S if is_behind else 0))
    update = _update(request, manifest, Depth.NONE if request.force else Depth.SHORT)
    recover(workspace, holder.took_over)
    targets = targets_of(release)
    if is_behind:
        refresh(workspace, targets[:1])
    deploy(workspace, update, (*targets, *_missing(workspace)))
    return release


def _without_state(error: Refused, request: Restore, observed: Observed) -> Refused:
    """The *error* with which the state cannot be had, and what the engine alone tells of the release."""
    history = History.of({}, observed)
    if not history.records:
        return error
    try:
        release = choose(history, request.release)
    except RunbookError as told:
        what, hint = f"{told.message}, as far as the engine alone tells", told.hint
    else:
        lost = lost_containers(history, observed, release)
        if not lost or not observed.live or not observed.names(release, "web"):
            return error
        what = f"release {release} has lost containers, {lost} are left, and none can be made again"
        hint = f"`bin/runbook rollback {release} --force` moves the traffic to what is left"
    return RunbookError(f"{what}: {error.message}", "; ".join(filter(None, (hint, error.hint))))


def _refuse_refused(release: str, history: History, workspace: Workspace) -> None:
    """`releases` lists it, so that it is not known would be no answer."""
    records = (*history.records, *refused_in(workspace.deployment()))
    if any(record.release == release and record.refusal for record in records):
        raise RunbookError(
            f"release {release} was refused and never kept the traffic: it cannot be brought back",
            "`bin/runbook releases` shows those that can; "
            "`bin/runbook up`, with its commit checked out, tries it again",
        )


def _what_is_made(history: History, observed: Observed, manifest: Manifest, more_s: int) -> str:
    """What has to be made again, how long that takes (the update, and *more_s*), and who has the traffic."""
    sizing, release = manifest.sizing, manifest.id
    seconds = _UPDATE_S + more_s + _CONTAINER_S * (sizing.web_replicas + sizing.worker_replicas)
    what, past = "has no containers any more", ""
    if observed.names(release, "web"):
        what = f"has lost containers, {lost_containers(history, observed, release)} are left"
        past = "; --force moves it to what is left"
    return (
        f"release {release} {what}: they are made again, which takes about {seconds} s; "
        f"until then {history.live or 'no release'} has the traffic{past}"
    )


def _tell_disagreement(history: History) -> None:
    if history.disagreement:
        say(f"warning: {history.disagreement}: this goes by the proxy")


def _counts_on_lost(workspace: Workspace, release: str, observed: Observed) -> bool:
    """Whether the state has containers of *release* that the engine has not: an update would make none."""
    gone = gone_containers(workspace.deployment(), observed.containers)
    return any(name.endswith(f"-{release}") for name in gone)


def follow(request: Restore, release: str, before: Observed, report: Report | None, holder: Holder) -> None:
    """Take into the state that *release* has the traffic. What stands in the way is said and stops nobody.

    *before*: the stack as it was when the traffic had not moved yet.
    """
    try:
        workspace = open_workspace(request.stack)
        history = History.of(workspace.outputs(), before)
        _tell_disagreement(history)
        manifest = before.manifests.get(release) or history.manifests.get(release)
        if manifest is None:
            raise RunbookError(f"nothing is known of what release {release} consists of", "")
        out = taken_out(before.live, release) if before.live else None
        recover(workspace, holder.took_over, taken_out=out)
        targets = targets_of(release)
        if _counts_on_lost(workspace, release, observe_stack(request.stack)):
            refresh(workspace, targets[:1])
        update = _update(request, manifest, Depth.NONE, [report] if report else [])
        deploy(workspace, update, (*targets, *_missing(workspace)))
    except Exception as error:  # whatever it is: the rollback is done
        message = error.message if isinstance(error, Refused) else str(error)
        say(f"warning: the traffic has moved, and the state could not follow: {message}")
        say("the next `bin/runbook up`, or `bin/pulumi up`, takes it in: it asks the proxy what is live")


def check_whole(
    secrets: Secrets, manifest: Manifest, engine: docker.DockerClient | None = None
) -> dict[str, str]:
    """See that all of a release is still there, before anything moves; its secrets, name to value.

    Raises:
        RunbookError: its image is gone, or a secret that it was gated with; says which.
    """
    try:
        (engine or docker.from_env()).images.get(manifest.image)
    except ImageNotFound as error:
        raise RunbookError(
            f"release {manifest.id} cannot come back: its image {manifest.image} is gone from the engine",
            "choose another from `bin/runbook releases`, or check out its commit and `bin/runbook up`",
        ) from error
    try:
        return secrets.values(manifest.secrets)
    except KeyError as error:
        raise RunbookError(
            f"release {manifest.id} cannot come back: the {error.args[0]} that it had is not known any more",
            f"choose another from `bin/runbook releases`, or set it again: "
            f"`bin/runbook secrets set {error.args[0]}`",
        ) from error


def _update(
    request: Restore, manifest: Manifest, depth: Depth, gate: list[Report] | None = None
) -> DeployRequest:
    return DeployRequest(
        verb=request.verb,
        reason=request.reason,
        bring_back=manifest,
        depth=depth,
        in_steps=False,
        force=request.force,
        gate=gate or [],
    )
