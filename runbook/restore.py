"""An earlier release instead of the live one: the traffic first, the state after.

All that the move of a kept release needs is on the engine: the proxy's route tells what is live and what was
before, the release's own containers what they are and which secrets they have. The state, the CLI, the
network and what the release depends on may be away.
"""

from __future__ import annotations

from dataclasses import dataclass

import docker
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from contracts.verdict import Report
from infra.haproxy_config import Backend, backend_in
from infra.history import History
from infra.live_route import LiveRoute, Move, redirected
from infra.observed import RELEASE_LABEL, ROLE_LABEL, Observed
from infra.provenance import operator
from infra.proxy_control import ProxyControl
from infra.release_record import ReleaseRecord
from infra.stack_name import bare_name, prefix_of
from infra.suites import Depth
from runbook.console import say
from runbook.errors import RunbookError
from runbook.restore_checks import check_passable, check_secrets, remove_baseline, smoke


@dataclass(frozen=True)
class Restore:
    """An earlier release is to have the live traffic of `stack`: `release`, or the last good one.

    `verb` and `reason` are noted. `force`: without any check. `instead_of`: only if that is live still.
    """

    stack: str
    release: str | None
    verb: str
    reason: str
    force: bool = False
    instead_of: str | None = None


def choose(history: History, release: str | None) -> str:
    """The release to bring back: the one named, else the last good one beside the live one.

    Raises:
        RunbookError: there is none, or it is live now; names those that can be had.
    """
    earlier = [id_ for id_ in history.releases if id_ != history.live]
    good = [id_ for id_ in history.good if id_ != history.live]
    choices = ", ".join(_described(id_, history) for id_ in earlier) or "none yet"
    if release is None and not good:
        raise RunbookError(
            "there is no earlier release that was good",
            f"name one: {choices}" if earlier else "`bin/runbook up` deploys the sources as they are",
        )
    release = release or good[0]
    if release == history.live:
        raise RunbookError(f"release {release} is live already", f"others: {choices}")
    if release not in earlier:
        raise RunbookError(f"release {release!r} is not known", f"can be brought back: {choices}")
    return release


def kept_target(
    history: History, observed: Observed, release: str | None, *, force: bool = False
) -> str | None:
    """The release to bring back, where the engine alone can tell and has all its containers; else None.

    The canary of an update that was not finished is taken out for the release that the rest of the traffic
    is left with: also when its share has ended by itself, which nobody who types `rollback` can know.
    """
    if observed.live is None:
        return None
    if observed.live.canary and release in (None, observed.live.release):
        return observed.live.release
    good = [id_ for id_ in history.good if id_ != history.live]
    wanted = release or next(iter(good), None)
    # Containers alone are not enough: a release that its gate refused has some, too.
    if wanted not in history.releases or wanted == history.live or not observed.names(str(wanted), "web"):
        return None
    # Half of a release would get all of the traffic; with *force* that is better than what has it now.
    return None if lost_containers(history, observed, str(wanted)) and not force else wanted


def lost_containers(history: History, observed: Observed, release: str) -> str:
    """How many containers of *release* are left, by role, where that is fewer than it had; else empty."""
    manifest = observed.manifests.get(release) or history.manifests.get(release)
    if manifest is None:  # an older version made it
        return ""
    wanted = {"web": manifest.sizing.web_replicas, "worker": manifest.sizing.worker_replicas}
    left = {role: len(observed.names(release, role)) for role in wanted}
    lost = (f"of {role}: {left[role]} of {many}" for role, many in wanted.items() if left[role] < many)
    return ", ".join(lost)


def shift_to_kept(request: Restore, history: History, observed: Observed, target: str) -> Report | None:
    """Give all live traffic to *target*, whose containers are there; what its smoke showed, if it was asked.

    Raises:
        Refused: a check says that it should not; nothing was moved.
    """
    engine, live = docker.from_env(), observed.live
    if live is None:
        raise RunbookError(
            f"stack {request.stack} has no live route", f"`bin/runbook up --stack {request.stack}`"
        )
    start_proxy(observed)
    out = taken_out(live, target)
    say(f"taking {out} out of the traffic: it goes to {target}")
    if target == live.release:
        before = next((id_ for id_ in history.good if id_ not in (target, out)), None)
        back = f"; a second rollback goes back to {before}" if before else ""
        say(f"the update to {out} was not finished: {target} is live, and stays{back}")
    proxy = ProxyControl(f"{prefix_of(request.stack)}-proxy", engine)
    to = Backend(target, tuple(observed.names(target, "web")))
    if request.force:
        say("without any check: --force")
        _start(_containers(observed, target), force=True)
        _move(request, history, proxy, live, to)
        return None

    def prepare() -> None:
        check_secrets(request.stack, observed, live, target)
        _start(_containers(observed, target), force=False)

    record = ReleaseRecord(
        release=target, stack=bare_name(request.stack), verb=request.verb, depth=Depth.SHORT
    )
    check_passable(history, observed.manifests.get(target) or history.manifests.get(target))
    try:
        report = smoke(record, observed, proxy, to, live.to, prepare)
        tested = backend_in(proxy.route("candidate") or "")
        if tested and tested.release != target:  # under a freeze nobody holds the lock
            raise RunbookError(
                f"another rollback tests {tested.release} where {target} was tested: nothing was moved here",
                "`bin/runbook releases` shows what is live once that one has ended",
            )
        _move(request, history, proxy, live, to)
    finally:
        remove_baseline(proxy)
    return report


def _move(request: Restore, history: History, proxy: ProxyControl, live: LiveRoute, to: Backend) -> None:
    """Give all live traffic to *to*, and note who did that and why."""
    sources = history.sources(to.release)
    move = Move.now(
        to.release,
        taken_out(live, to.release),
        verb=request.verb,
        reason=request.reason,
        by=operator(),
        commit=sources.commit,
        branch=sources.branch,
    )
    config = redirected(proxy.route("live") or "", to, (*live.moves, move))
    proxy.put_route("live", config, after=[last.id for last in live.moves[-1:]])


def taken_out(live: LiveRoute, target: str) -> str:
    """The release that loses traffic when *target* gets all of it."""
    return live.canary.release if live.release == target and live.canary else live.release


def start_proxy(observed: Observed) -> None:
    """See that the proxy runs: it is what moves the traffic.

    Raises:
        RunbookError: it is gone, or cannot be started.
    """
    proxies = [each for each in observed.containers if each.labels.get(ROLE_LABEL) == "proxy"]
    if not proxies:
        raise RunbookError(
            "the stack's proxy is gone: nobody is served, and nothing was moved",
            "`bin/runbook up` makes it again, and deploys what is checked out: the commit that `bin/runbook "
            "releases` shows as live, or an earlier good one",
        )
    try:
        _start(proxies, force=False)
    except RunbookError as error:
        raise RunbookError(error.message, "nobody is served, and nothing was moved") from error


def _containers(observed: Observed, release: str) -> list[Container]:
    found = (each for each in observed.containers if each.labels.get(RELEASE_LABEL) == release)
    return [each for each in found if each.labels.get(ROLE_LABEL) in ("web", "worker")]


def _start(containers: list[Container], *, force: bool) -> None:
    """Start those that somebody stopped or paused; with *force* one may stay so.

    Raises:
        RunbookError: one cannot be started; names it.
    """
    for container in containers:
        try:
            if container.status == "paused":
                say(f"{container.name} is paused: it goes on")
                container.unpause()
            elif container.status != "running":
                say(f"starting {container.name}, which does not run ({container.status})")
                container.start()
                container.reload()
        except (DockerException, requests.RequestException) as error:
            problem = f"{container.name} cannot be started: {error}"
            if not force:
                raise RunbookError(
                    problem,
                    "nothing was moved; `bin/runbook rollback --force` moves the traffic all the same",
                ) from error
            say(f"warning: {problem}")


def _described(release: str, history: History) -> str:
    if release in history.rolled_back:
        return f"{release} (rolled back)"
    return f"{release} (at once)" if release in history.running else release
