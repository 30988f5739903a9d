"""`secrets`: what the stack's releases are given as files. Values never appear on a command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from infra.manifest import Secrets
from infra.stack_config import GENERATED, RELEASE_KEY
from runbook.console import out, print_json, say
from runbook.errors import RunbookError
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.workspace import open_workspace
from service.settings import SECRET_NAMES

secrets = typer.Typer(help="Get, set and list the stack's secrets.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Its name in the environment, for example WAHA_API_KEY.")]


@secrets.command("list")
def list_(stack: Stack = DEFAULT_STACK, as_json: Json = False) -> None:
    """List every secret's name and whether it is set; never a value."""
    current = open_workspace(stack).secrets()["current"]
    found = {name: name in current for name in sorted(SECRET_NAMES | current.keys())}
    if as_json:
        print_json(found)
        return
    for name, is_set in found.items():
        out.print(f"{name}: {'set' if is_set else 'not set'}", markup=False)


@secrets.command()
def get(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Print one secret's value."""
    current = open_workspace(stack).secrets()["current"]
    if name not in current:
        raise RunbookError(f"secret {name} is not set", f"`bin/runbook secrets set {name}`")
    out.print(current[name], markup=False)


@secrets.command("set")
def set_(name: Name, stack: Stack = DEFAULT_STACK) -> None:
    """Set a secret, read from standard input or typed unseen; the next `up` deploys it."""
    if name not in SECRET_NAMES and name not in GENERATED:
        raise RunbookError(
            f"{name!r} is not a secret of the service", f"one of {', '.join(sorted(SECRET_NAMES))}"
        )
    value = _read_value(name)
    workspace = open_workspace(stack)
    kept = workspace.secrets()
    previous = kept["current"].get(name)
    if previous == value:
        say(f"{name} has that value already")
        return
    if previous is not None:
        # Releases that were gated with the old value can be brought back with it.
        key = kept["current"][RELEASE_KEY]
        kept["retired"][Secrets({}, {}, key).digest(previous)] = previous
    kept["current"][name] = value
    workspace.keep_secrets(kept)
    say(f"{name} is set; `bin/runbook up` deploys it")


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        value: str = typer.prompt(name, hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value or "\0" in value or "\n" in value:
        raise RunbookError(f"the value given for {name} is empty or has several lines", "give one line")
    return value
