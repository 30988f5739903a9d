"""`secrets rotate`: another value for a secret, and the end of the time for which both are taken."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from infra.stack_settings import RELEASE_KEY
from runbook import rotation
from runbook.console import say
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Stack
from runbook.rotation_end import end
from runbook.secret_input import SETTABLE, asked_for, generated
from runbook.workspace import Workspace, open_workspace

ROTATABLE = (SETTABLE | {RELEASE_KEY}) - {overlap.previous for overlap in rotation.OVERLAPS.values()}

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
    say(f"{name} is rotated; releases take the old one too, until {until:{rotation.MINUTE}}. What follows:")
    say(f"  1. `bin/runbook up --stack {stack}` deploys a release that takes both")
    say(f"  2. give {overlap.signer} the new one: `bin/runbook secrets get {name} --stack {stack}` prints it")
    say(f"  3. `bin/runbook secrets rotate {name} --finish --stack {stack}` when {overlap.signer} uses it;")
    say("     without that, the first `up` after that time ends the old one, unless it is in use")
