"""`rollback`: an earlier release again, with its image, configuration and secrets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Annotated

import requests
import typer
from docker.errors import DockerException

from infra.errors import Refused
from infra.history import History
from infra.live_route import LiveRoute
from infra.lock_holder import Holder
from infra.observed import Observed, observe_stack
from infra.proxy_control import RouteMoved
from infra.release_record import TAKES_OUT
from runbook.console import print_json, say
from runbook.deploy_lock import hold
from runbook.errors import RunbookError
from runbook.liveness import live_route, proxy_of
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.restore import Restore, kept_target, shift_to_kept, taken_out
from runbook.stop_request import request_stop
from runbook.toolchain.docker_engine import ensure_engine

Release = Annotated[
    str | None, typer.Argument(help="A release from `bin/runbook releases`; without it the last good one.")
]
Force = Annotated[bool, typer.Option("--force", help="Move the traffic without any check.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; shown by `releases`.")]

_STALE_CANARY_S = 900
"""So long after a canary's share has ended nobody who types `rollback` means the update that left it."""


class RestoreInterrupted(RunbookError):
    """It ended when the traffic had moved already."""


def rollback(
    release: Release = None,
    reason: Reason = "",
    force: Force = False,
    stack: Stack = DEFAULT_STACK,
    as_json: Json = False,
) -> None:
    """Bring back an earlier release.

    The traffic moves first, the state follows. The release that was live is not deployed again, unless by
    `up --force`.
    """
    restored = restore(Restore(stack, release, "rollback", reason, force))
    if as_json:
        print_json({"release": restored})


def restore(request: Restore) -> str:
    """Give the live traffic to an earlier release, and take that into the state; the release's id.

    Raises:
        RestoreInterrupted: the traffic has moved.
        Refused: it cannot be had, or a check says that it should not; nothing was moved.
    """
    began = time.monotonic()
    ensure_engine(say)
    typed = _without_stale_canary(live_route(request.stack))
    what = f"{request.verb} {request.release or ''}".strip()
    waited_for: list[Holder] = []

    def on_wait(before: Holder) -> None:
        waited_for.append(before)
        if not _restores(before):  # what it does is what is wanted here
            request_stop(request.stack)

    with hold(request.stack, what, past_freeze=True, on_wait=on_wait) as holder:
        found = observe_stack(request.stack)
        observed = replace(found, live=_as_meant(request, typed, _without_stale_canary(found.live)))
        if request.release is None and not request.instead_of:
            _refuse_twice(observed.live, waited_for)
        with _told_of_a_move(request.stack, observed.live):
            target = _restore(request, observed, holder, began)
    say(f"release {target} is live again ({time.monotonic() - began:.1f} s)")
    if observed.live and (out := taken_out(observed.live, target)) != target:
        say(f"`bin/runbook up` will not deploy {out} again unless it is told --force")
    return target


def _restore(request: Restore, observed: Observed, holder: Holder, began: float) -> str:
    history = History.of({}, observed)
    target = kept_target(history, observed, request.release, force=request.force)
    if target and history.live_manifest is None and not request.force:
        history = _history_with_state(request.stack, history, observed)
    if target:
        report = shift_to_kept(request, history, observed, target)
        say(f"release {target} has the traffic ({time.monotonic() - began:.1f} s); the state follows")
    # Imported now: Pulumi's packages take a second of the three that a rollback has.
    from runbook.restore_by_state import follow, restore_by_state

    if target is None:
        return restore_by_state(request, observed, holder)
    follow(request, target, observed, report, holder)
    return target


def _restores(holder: Holder) -> bool:
    return holder.message.partition(" ")[0] in TAKES_OUT


def _refuse_twice(now: LiveRoute | None, waited_for: list[Holder]) -> None:
    """See that none of those *waited_for* has done what was typed: it had moved the traffic before it ended.

    Raises:
        RunbookError: one has.
    """
    if now is None or not now.moves or now.canary or now.moves[-1].verb not in TAKES_OUT:
        return
    last = now.moves[-1]
    # Both times are by the clock of whoever moved it.
    if any(_restores(each) and each.by == last.by and each.since <= last.at for each in waited_for):
        raise RunbookError(
            f"{last.by} has just taken {last.replaced} out, for {now.release}: nothing was moved",
            f"the same again takes {now.release} out; a release that is named comes back in any case",
        )


def _without_stale_canary(route: LiveRoute | None) -> LiveRoute | None:
    """The route, without a canary whose share ended long ago: what is live is what is to be taken out."""
    if route and 0 < route.canary_until_s < time.time() - _STALE_CANARY_S:
        return replace(route, canary=None)
    return route


def _history_with_state(stack: str, history: History, observed: Observed) -> History:
    """As the state knows it, too: of the live release, which is what migrations ran, nothing is left here."""
    from runbook.workspace import open_workspace

    try:
        return History.of(open_workspace(stack).outputs(), observed)
    except (Refused, OSError) as error:
        live = f"{history.live}, whose containers are gone,"
        say(f"warning: which migrations {live} has run is not known: {error}")
        return history


@contextmanager
def _told_of_a_move(stack: str, before: LiveRoute | None) -> Iterator[None]:
    """Whoever is stopped once the traffic has moved is told so: the same again would go back further.

    Raises:
        RestoreInterrupted: instead of Ctrl-C, an engine that did not answer, or what went wrong afterwards.
    """
    try:
        yield
    except RouteMoved:  # by somebody else
        raise
    except (KeyboardInterrupt, DockerException, requests.RequestException, Refused) as error:
        now = _route_in_the_end(stack)
        if now is None or (before and now.moves == before.moves):
            raise
        if isinstance(error, KeyboardInterrupt):
            what = "interrupted"
        else:
            what = error.message if isinstance(error, Refused) else f"the Docker engine: {error}"
        raise RestoreInterrupted(
            f"{what}; release {now.release} has the traffic, and the state has not followed",
            f"the next `bin/runbook up` takes that in; the same again would take {now.release} out",
        ) from error


def _route_in_the_end(stack: str) -> LiveRoute | None:
    """Where the live traffic goes once no change is under way; None where that cannot be seen."""
    for read in (proxy_of(stack).settled_live_route, partial(live_route, stack)):
        with suppress(DockerException, requests.RequestException, Refused, KeyboardInterrupt):
            return read()
    return None


def _as_meant(request: Restore, typed: LiveRoute | None, now: LiveRoute | None) -> LiveRoute | None:
    """The route as it is *now*, with the canary that *request* is about, if it is about one.

    Somebody else's update may have ended while the lock was waited for. Who names no release means the one
    before what had the traffic when it was *typed*.

    Raises:
        RunbookError: another release has gone live since.
    """
    live = now.release if now else None
    if request.instead_of:
        if live != request.instead_of:
            raise RunbookError(f"{request.instead_of} is not live any longer: {live} is", "")
        return now and replace(now, canary=None)
    if request.release or typed is None or now is None:
        return now
    canary = typed.canary
    if canary and canary.release == live:
        return now
    if typed.release != live:
        raise RunbookError(
            f"{typed.release} was live when this was typed, and {live} is now: nothing was moved",
            f"the same again takes {live} out; a release that is named comes back in any case",
        )
    return replace(now, canary=now.canary or canary)
