"""`lock`: who deploys the stack now; a freeze; and the way out when a holder is gone."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.deploy_lock import DeployLock, refusal
from infra.lock_holder import Holder, Kind
from infra.stack_name import bare_name
from runbook.console import err, print_json, say, show
from runbook.deploy_lock import Patience, acquire
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack

_LONGEST_MESSAGE = 200


def _message(given: str) -> str:
    if not given.strip() or len(given) > _LONGEST_MESSAGE or not given.isprintable():
        raise typer.BadParameter(
            f"{given[:40]!r}… is no message: up to {_LONGEST_MESSAGE} characters on one line"
            if given.strip()
            else "an empty message tells nobody anything"
        )
    return given.strip()


lock = typer.Typer(help="Show, take, end and break the lock that deployments hold.", no_args_is_help=True)
Message = Annotated[
    str, typer.Option("-m", "--message", help="Why: shown to everyone who is refused.", callback=_message)
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for a deployment that is under way.")
]
HolderName = Annotated[
    str | None,
    typer.Option("--holder", help="The holder's name as `show` tells it; without a terminal needed."),
]


@lock.command("show")
def show_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """Show who holds the deploy lock, since when and why."""
    found = DeployLock(bare_name(stack))
    holder = found.read()
    is_gone = holder is not None and found.is_gone(holder)
    if as_json:
        print_json(described(found.stack, holder, is_gone=is_gone))
    elif holder is None:
        show("free")
    else:
        gone = ", which is gone: the next deployment takes it over" if is_gone else ""
        show(f"{'frozen' if holder.kind is Kind.MANUAL else 'held'} by {holder}{gone}")


@lock.command("acquire")
def acquire_(message: Message, wait: Wait = 0, stack: Stack = DEFAULT_STACK) -> None:
    """Freeze the stack: no deployment begins until `release`."""
    acquire(found := DeployLock(bare_name(stack)), Holder.here(Kind.MANUAL, message), Patience(wait))
    say(f"stack {found.stack} is frozen; `bin/runbook lock release --stack {stack}` ends it")


@lock.command("release")
def release(stack: Stack = DEFAULT_STACK) -> None:
    """End a freeze, whoever began it."""
    end_freeze(DeployLock(bare_name(stack)))


@lock.command("break")
def break_(holder: HolderName = None, stack: Stack = DEFAULT_STACK) -> None:
    """End a lock whose holder cannot end it any more.

    Refused while the holder is a process of this machine that runs. For any other, type its name: whether
    it still deploys cannot be seen from here.
    """
    break_lock(DeployLock(bare_name(stack)), holder)


def described(stack: str, holder: Holder | None, *, is_gone: bool) -> dict[str, object]:
    """The lock as `show --json` prints it."""
    if holder is None:
        return {"stack": stack, "held": False}
    return {
        "stack": stack,
        "held": True,
        "kind": holder.kind,
        "holder": holder.by,
        "pid": holder.pid or None,
        "message": holder.message,
        "since": holder.since,
        "gone": is_gone,
    }


def end_freeze(found: DeployLock) -> None:
    """End a manual lock, saying whose it was.

    Raises:
        RunbookError: a process has the lock.
    """
    holder = found.read()
    if holder is None:
        say(f"nothing to do: stack {found.stack} is not frozen")
        return
    if holder.kind is Kind.PROCESS:
        raise refusal(found.stack, holder)
    found.remove(holder)
    say(f"the freeze of stack {found.stack} has ended; it was {holder}")


def break_lock(found: DeployLock, named: str | None) -> None:
    """End whatever lock there is, if its holder is dead or *named*.

    Raises:
        RunbookError: the holder lives here, or nobody said its name.
    """
    holder = found.read()
    if holder is None:
        say(f"nothing to do: nobody holds the deploy lock of stack {found.stack}")
        return
    is_gone = found.is_gone(holder)
    if holder.is_near and not is_gone:
        raise RunbookError(
            f"stack {found.stack} is being worked on by {holder}", f"end it first: kill {holder.pid}"
        )
    if not is_gone:
        _confirm(found.stack, holder, named)
    if not found.remove(holder):
        raise RunbookError("the lock has another holder now: nothing was broken", "look again with `show`")
    say(f"broken: the deploy lock of stack {found.stack}, held by {holder}")


def _confirm(stack: str, holder: Holder, named: str | None) -> None:
    say(f"stack {stack} is locked by {holder}; whether that goes on cannot be seen from here")
    if named is None:
        if not err.is_terminal:
            raise RunbookError(
                "breaking the lock of one who still deploys lets two deploy at once",
                f"if it does not, say --holder {holder.by}",
            )
        named = typer.prompt("Type the holder's name to break it", err=True)
    if named != holder.by:
        raise RunbookError(f"{named!r} does not hold it: nothing was broken", "look again with `show`")
