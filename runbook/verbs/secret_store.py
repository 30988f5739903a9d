"""`secrets`: what the stack's releases are given as files. Values never appear on a command line."""

from __future__ import annotations

import sys
from typing import Annotated, TextIO

import typer

from infra.manifest import Secrets
from infra.stack_config import GENERATED, RELEASE_KEY
from runbook.console import print_json, say, show
from runbook.errors import RunbookError
from runbook.new_stack import ensure_secrets
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.workspace import Workspace, open_workspace
from service.settings import SECRET_NAMES

secrets = typer.Typer(help="Get, set and list the stack's secrets.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name in the environment, for example WAHA_API_KEY.")]

SETTABLE = SECRET_NAMES - {"REDIS_URL", "PSEUDONYM_KEY"}
"""The service's secrets, except those that the infrastructure makes."""


@secrets.command("list")
def list_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List every secret's name and whether it is set; never a value."""
    found = listed(open_workspace(stack))
    if as_json:
        print_json(found)
        return
    for name, is_set in found.items():
        show(f"{name}: {'set' if is_set else 'not set'}")


@secrets.command()
def get(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Print one secret's value."""
    show(value_of(open_workspace(stack), name))


@secrets.command("set")
def set_(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Set a secret, read from standard input or typed unseen; the next `up` deploys it."""
    if name not in SETTABLE and name not in GENERATED:
        raise RunbookError(f"{name!r} is no secret that can be set", f"one of {', '.join(sorted(SETTABLE))}")
    value = typer.prompt(name, hide_input=True, err=True) if sys.stdin.isatty() else read_value(sys.stdin)
    replace(open_workspace(stack), name, checked(name, value))


def listed(workspace: Workspace) -> dict[str, bool]:
    """Each secret's name, and whether it is set."""
    current = workspace.secrets()["current"]
    return {name: name in current for name in sorted(SETTABLE | current.keys())}


def value_of(workspace: Workspace, name: str) -> str:
    """The value in force.

    Raises:
        RunbookError: it is not set.
    """
    current = workspace.secrets()["current"]
    if name not in current:
        raise RunbookError(f"secret {name} is not set", f"`bin/runbook secrets set {name}`")
    return current[name]


def replace(workspace: Workspace, name: str, value: str) -> None:
    """Put *value* in force; releases that were gated with the old one can be brought back with it."""
    ensure_secrets(workspace)
    kept = workspace.secrets()
    current, previous = kept["current"], kept["current"].get(name)
    if previous == value:
        say(f"{name} has that value already")
        return
    if previous is not None:
        # Another key gives every value another hash: then all are kept under the one they had.
        retiring = [*current.values()] if name == RELEASE_KEY else [previous]
        key = current.get(RELEASE_KEY)
        if key is None:
            raise RunbookError(f"secret {RELEASE_KEY} is missing", f"`bin/runbook secrets set {RELEASE_KEY}`")
        kept["retired"] |= {Secrets({}, {}, key).digest(old): old for old in retiring}
    current[name] = value
    workspace.keep_secrets(kept)
    say(f"{name} is set; `bin/runbook up` deploys it")


def read_value(stdin: TextIO) -> str:
    """What was piped in, without the line's end."""
    try:
        return stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise RunbookError("the value given is not UTF-8 text", "give one line of text") from None


def checked(name: str, value: str) -> str:
    """The *value*, if it is one that a file of one line can hold.

    Raises:
        RunbookError: it is not; without the value.
    """
    if not value or any(sign in value for sign in "\0\r\n"):
        raise RunbookError(f"the value given for {name} is empty or has several lines", "give one line")
    return value
