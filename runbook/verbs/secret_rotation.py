"""`secrets rotate`: another value for a secret, and the end of the time for which both are taken."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Annotated

import typer

from infra.history import History
from infra.stack_config import RELEASE_KEY
from runbook import rotation
from runbook.console import say
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Stack
from runbook.secret_input import SETTABLE, asked_for, generated
from runbook.secret_values import known_secrets
from runbook.signed_with import Signer, signer
from runbook.workspace import Workspace, open_workspace

ROTATABLE = (SETTABLE | {RELEASE_KEY}) - {overlap.previous for overlap in rotation.OVERLAPS.values()}
_MINUTE = "%Y-%m-%d %H:%M UTC"

SignerOf = Callable[[str, str], Signer]
"""By stack and live release, whose secret webhooks are signed with."""

Name = Annotated[str, typer.Argument(help="Its name in the environment, for example WAHA_WEBHOOK_SECRET.")]
Grace = Annotated[
    int, typer.Option("--grace-days", min=1, max=365, help="Days for which the old value is taken too.")
]
Generate = Annotated[bool, typer.Option("--generate", help="Make the new value here.")]
Finish = Annotated[bool, typer.Option("--finish", help="End the time for which both values are taken.")]
Force = Annotated[bool, typer.Option("--force", help="With --finish: although the old one may be in use.")]


def rotate(
    name: Name,
    grace_days: Grace = 7,
    generate: Generate = False,
    finish: Finish = False,
    force: Force = False,
    stack: Stack = DEFAULT_STACK,
) -> None:
    """Replace a secret; where the service can, both values are taken for a while.

    It can with WAHA_WEBHOOK_SECRET and INNGEST_SIGNING_KEY: nothing is refused while the sender is given the
    new one. The new value is read from standard input, typed unseen, or generated.
    """
    if finish and generate:
        raise typer.BadParameter("--finish ends a rotation, --generate begins one")
    if name not in ROTATABLE:
        known = ", ".join(sorted(ROTATABLE))
        raise RunbookError(f"{name!r} is no secret that can be rotated", f"one of {known}")
    if finish:
        end(open_workspace(stack), name, force=force)
        return
    workspace = open_workspace(stack)
    begin(workspace, name, generated(name) if generate else asked_for(name), grace_days)


def begin(workspace: Workspace, name: str, value: str, grace_days: int) -> None:
    """Rotate, and say what follows."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=grace_days)
    rotation.rotate(workspace, name, value, until)
    stack, overlap = workspace.stack, rotation.OVERLAPS.get(name)
    if overlap is None:
        say(f"{name} is set; the service takes one value only: the old one ends with `bin/runbook up`")
        return
    say(f"{name} is rotated; releases take the old one too, until {until:{_MINUTE}}. What follows:")
    say(f"  1. `bin/runbook up --stack {stack}` deploys a release that takes both")
    say(f"  2. give {overlap.signer} the new one: `bin/runbook secrets get {name} --stack {stack}` prints it")
    say(f"  3. `bin/runbook secrets rotate {name} --finish --stack {stack}` when {overlap.signer} uses it;")
    say("     without that, the first `up` after that time ends the old one")


def end(
    workspace: Workspace,
    name: str,
    *,
    force: bool,
    signer_of: SignerOf = signer,
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
    if not force and (reason := _why_not_yet(workspace, name, signer_of, now)):
        raise RunbookError(
            reason, "with --force the old one ends all the same: what is signed with it is refused"
        )
    rotation.finish(workspace, name)
    say(f"the old {name} is ended; `bin/runbook up --stack {workspace.stack}` deploys that")


def _why_not_yet(
    workspace: Workspace, name: str, signer_of: SignerOf, now: datetime.datetime | None
) -> str | None:
    """Why the old value may be needed still: as the live release sees it, or else since its time goes on."""
    release = workspace.outputs().get("release")
    if release and not _takes_new(workspace, name):
        return f"release {release} is live, which does not take the new {name} yet: `bin/runbook up` first"
    # Only webhooks are counted by the secret that signed them.
    found = signer_of(workspace.stack, release) if release and name == "WAHA_WEBHOOK_SECRET" else None
    if found is Signer.OLD:
        return f"webhooks still come in that are signed with the old {name}: give WAHA the new one"
    until = rotation.rotations(workspace).get(name)
    if found is Signer.NEW or until is None or until <= (now or datetime.datetime.now(datetime.UTC)):
        return None
    return (
        f"nothing shows that the new {name} is in use, and the old one is to be taken until {until:{_MINUTE}}"
    )


def _takes_new(workspace: Workspace, name: str) -> bool:
    """Whether the live release was given the present value."""
    secrets, history = known_secrets(workspace), History.of(workspace.outputs())
    live = history.live_manifest["secrets"].get(name)
    return bool(live == secrets.digest(secrets.current[name]))
