"""`bin/pulumi`: the CLI itself, with what it is given, in the environment of this project."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.errors import Refused
from runbook.errors import RunbookError
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.environment import is_dev, pulumi_environment
from runbook.toolchain.pulumi_cli import ensure_cli

_NEED_AN_ENGINE = frozenset({"up", "update", "preview", "pre", "refresh", "destroy", "down", "watch"})
_NEED_NO_STACK = frozenset(
    {"", "version", "help", "login", "logout", "plugin", "completion", "gen-completion"}
)


def named_stack(arguments: Sequence[str]) -> str | None:
    """The stack that the command line names: `--stack NAME`, `-s NAME`, `stack init|select|rm NAME`."""
    for index, argument in enumerate(arguments):
        if argument in ("--stack", "-s"):
            return next(iter(arguments[index + 1 :]), None)
        if argument.startswith("--stack="):
            return argument.removeprefix("--stack=")
    plain = [argument for argument in arguments if not argument.startswith("-")]
    if plain[:1] == ["stack"] and plain[1:2] in (["init"], ["select"], ["rm"]):
        return next(iter(plain[2:]), None)
    return None


def verb(arguments: Sequence[str]) -> str:
    """The first word that is no option."""
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _selected_stack(cli: Path, env: dict[str, str]) -> str | None:
    done = subprocess.run(
        [cli, "stack", "--show-name", "--non-interactive"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def main(arguments: Sequence[str]) -> None:
    """Become the CLI.

    Raises:
        RunbookError, Refused: a part of this machine is missing and could not be had.
    """
    if verb(arguments) in _NEED_AN_ENGINE:
        ensure_engine(_report)
    cli = ensure_cli(_report)
    env = {**os.environ, **pulumi_environment(None)}
    if verb(arguments) not in _NEED_NO_STACK:
        stack = named_stack(arguments) or _selected_stack(cli, env)
        if stack and is_dev(
            stack
        ):  # for any other, the CLI asks for the passphrase itself where it needs one
            env |= pulumi_environment(stack, env)
    os.execve(cli, [str(cli), *arguments], env)  # noqa: S606 - no shell is wanted


def _report(line: str) -> None:
    print(f"runbook: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (RunbookError, Refused) as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
