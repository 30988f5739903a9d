"""The end of a rotation: by hand, or with the first update after its time.

A release that refuses what its sender signs loses every message: while the old value is seen to be in use, or
no release takes the new one yet, the old one goes on being taken.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from runbook import rotation
from runbook.console import say
from runbook.errors import RunbookError
from runbook.secret_values import known_secrets
from runbook.stack_view import read_history
from runbook.webhook_signer import Signer, observe_signer
from runbook.workspace import Workspace

SignerOf = Callable[[str, str], Signer]
"""By stack and live release, which secret its webhooks are signed with."""


def end(
    workspace: Workspace,
    name: str,
    *,
    force: bool,
    signer_of: SignerOf = observe_signer,
    now: datetime.datetime | None = None,
) -> None:
    """End the overlap of *name*, if nobody needs the old value any more.

    Raises:
        RunbookError: somebody does, or may, and *force* is not given.
    """
    if name not in rotation.OVERLAPS:
        known = " and ".join(sorted(rotation.OVERLAPS))
        raise RunbookError(f"no old {name} is taken beside the new one", f"of {known} it may be")
    if not rotation.is_overlapping(workspace, name):
        say(f"nothing to do: no old {name} is taken")
        return
    if not force and (reason := _why_not_yet(workspace, name, signer_of, now or _now())):
        raise RunbookError(
            reason,
            f"first `bin/runbook up --stack {workspace.stack}`, then give {rotation.OVERLAPS[name].signer} "
            "the new one, then this; with --force the old one ends all the same: what is signed with it is "
            "refused",
        )
    rotation.finish(workspace, name)
    say(f"the old {name} is ended; `bin/runbook up --stack {workspace.stack}` deploys that")


def end_expired(
    workspace: Workspace, signer_of: SignerOf = observe_signer, now: datetime.datetime | None = None
) -> None:
    """Before an update, drop the old values whose time is over; one that is needed still has another day.

    Each is said.
    """
    moment = now or _now()
    for name in rotation.expired(workspace, moment):
        overlaps = rotation.is_overlapping(workspace, name)
        if overlaps and (reason := _why_not_yet(workspace, name, signer_of, moment)):
            _give_another_day(workspace, name, moment, reason)
        else:
            rotation.finish(workspace, name)
            say(f"the time for the old {name} is over: this update ends it; rollbacks still have it")


def _give_another_day(workspace: Workspace, name: str, now: datetime.datetime, reason: str) -> None:
    until = now + datetime.timedelta(days=1)
    rotation.extend(workspace, name, until)
    say(
        f"the time for the old {name} is over, but {reason}: it is taken until {until:{rotation.MINUTE}}. "
        f"After this update give {rotation.OVERLAPS[name].signer} the new one: "
        f"`bin/runbook secrets get {name} --stack {workspace.stack}` prints it"
    )


def _why_not_yet(workspace: Workspace, name: str, signer_of: SignerOf, now: datetime.datetime) -> str | None:
    """Why the old value may be needed still: as the live release sees it, or else since its time goes on."""
    secrets, history = known_secrets(workspace), read_history(workspace)
    release = history.live
    if release and history.live_secret(name) != secrets.digest(secrets.current[name]):
        return f"release {release} is live, which does not take the new {name} yet"
    # Only webhooks are counted by the secret that signed them.
    found = signer_of(workspace.stack, release) if release and name == "WAHA_WEBHOOK_SECRET" else None
    if found is Signer.OLD:
        return f"webhooks still come in that are signed with the old {name}"
    until = rotation.rotations(workspace).get(name)
    if found is Signer.NEW or until is None or until <= now:
        return None
    return (
        f"nothing shows that the new {name} is in use, and the old one is to be taken until "
        f"{until:{rotation.MINUTE}}"
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
