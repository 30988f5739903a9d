"""`secrets`: what the stack's releases are given as files. Values never appear on a command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from infra.stack_settings import GENERATED, REDIS_PASSWORD, RELEASE_KEY
from runbook.console import print_json, say, show, show_exactly
from runbook.errors import RunbookError
from runbook.new_stack import ensure_secrets
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.rotation import OVERLAPS, rotations
from runbook.secret_input import SETTABLE, asked_for
from runbook.secret_values import change, known_secrets
from runbook.stack_view import read_history
from runbook.verbs.secret_rotation import rotate
from runbook.workspace import Workspace, open_workspace

secrets = typer.Typer(help="Get, set, unset, rotate and list the stack's secrets.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name in the environment, for example WAHA_API_KEY.")]


@secrets.command("list")
def list_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List every secret's name, whether it is set, and until when an old value is taken; never a value."""
    found = listed(open_workspace(stack))
    if as_json:
        print_json(found)
        return
    for name, state in found.items():
        until = state["old_taken_until"]
        taken = f"; the old one is taken too, until {until}" if until else ""
        show(f"{name}: {'set' if state['set'] else 'not set'}{taken}")


@secrets.command()
def get(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Print one secret's value."""
    show_exactly(value_of(open_workspace(stack), name))


@secrets.command("set")
def set_(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Set a secret, read from standard input or typed unseen; the next `up` deploys it."""
    refuse_unsettable(name)
    replace(open_workspace(stack), name, asked_for(name))


@secrets.command()
def unset(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Take a secret away; the next `up` deploys without it."""
    remove(open_workspace(stack), name)


secrets.command("rotate")(rotate)


def listed(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """By name, whether it is `set`, and `old_taken_until` (ISO 8601; None where no old one is taken)."""
    current, until = workspace.secrets()["current"], rotations(workspace)
    return {
        name: {
            "set": name in current,
            "old_taken_until": until[name].isoformat() if name in until else None,
        }
        for name in sorted((SETTABLE | current.keys()) - {REDIS_PASSWORD})
    }


def refuse_unsettable(name: str) -> None:
    """Raise a RunbookError where *name* is no secret that an operator sets."""
    if name == REDIS_PASSWORD:
        raise RunbookError(
            f"{name} cannot be set: Redis and all releases that run have the one that the stack began with",
            "Redis is reached in the stack's own network only; a stack that is made anew gets another one",
        )
    if name not in SETTABLE | {RELEASE_KEY}:
        raise RunbookError(f"{name!r} is no secret that can be set", f"one of {', '.join(sorted(SETTABLE))}")


def value_of(workspace: Workspace, name: str) -> str:
    """The value in force.

    Raises:
        RunbookError: it is not set, or is no secret at all.
    """
    current = workspace.secrets()["current"]
    if name not in current:
        refuse_unsettable(name)
        raise RunbookError(f"secret {name} is not set", f"`bin/runbook secrets set {name}`")
    return current[name]


def replace(workspace: Workspace, name: str, value: str) -> None:
    """Put *value* in force; releases that were gated with the old one can be brought back with it.

    Raises:
        RunbookError: somebody signs with the old one for the live release: only a rotation takes both.
    """
    ensure_secrets(workspace)
    secrets = known_secrets(workspace)
    if secrets.current.get(name) == value:
        say(f"{name} has that value already")
        return
    if name in OVERLAPS:
        _refuse_signed_with(workspace, name, secrets.digest(value))
    change(workspace, {name: value})
    say(f"{name} is set; `bin/runbook up` deploys it")


def remove(workspace: Workspace, name: str) -> None:
    """Have no value of *name* in force; releases that were gated with the old one can go back to it.

    Raises:
        RunbookError: there is none, no stack can do without, or somebody signs with it for the live release.
    """
    if name in GENERATED:
        raise RunbookError(f"no stack is without {name}", "it goes with the stack: `bin/runbook destroy`")
    value_of(workspace, name)
    if name in OVERLAPS:
        _refuse_signed_with(workspace, name, "")
    change(workspace, {name: None})
    say(f"{name} is set no more; `bin/runbook up` deploys without it")


def _refuse_signed_with(workspace: Workspace, name: str, digest: str) -> None:
    """Refuse a value of *name*, with this *digest*, that the live release does not take."""
    history = read_history(workspace)
    if history.live_secret(name) not in (None, digest):
        signer = OVERLAPS[name].signer
        raise RunbookError(
            f"{signer} signs with the {name} that release {history.live} takes: nothing was set, since the "
            f"next release would refuse what {signer} sends",
            f"`bin/runbook secrets rotate {name} --stack {workspace.stack}`: both are taken for a while",
        )
