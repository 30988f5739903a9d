"""`bin/pulumi`: the CLI itself, with what it is given, in the environment of this project."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import requests
from docker.errors import DockerException

from infra.deploy_lock import TOKEN
from infra.errors import Refused
from infra.stack_name import bare_name
from runbook.deploy_lock import hold
from runbook.options import DEFAULT_STACK, STACK_VARIABLE
from runbook.toolchain.docker_context import use_context
from runbook.toolchain.docker_engine import ensure_engine
from runbook.toolchain.environment import is_dev, pulumi_environment
from runbook.toolchain.pulumi_cli import ensure_cli

_CHANGES = frozenset({"up", "update", "refresh", "destroy", "down", "dn", "import"})
"""What changes a stack, and so holds its deploy lock and is refused while it is frozen."""

_NEED_AN_ENGINE = _CHANGES | {"preview", "pre", "watch"}
_SWITCHES = frozenset(
    {
        *("-e", "--emoji", "-Q", "--fully-qualify-stack-names", "-h", "--help", "--version"),
        *("--disable-integrity-checking", "--logflow", "--logtostderr", "--non-interactive"),
    }
)
"""The options before a verb after which no value comes: `pulumi --help` has all of them."""

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
        if argument.startswith("-s"):
            return argument.removeprefix("-s").removeprefix("=")
    return next(iter(_plain(arguments)[2:]), None) if _manages_stacks(arguments) else None


def _manages_stacks(arguments: Sequence[str]) -> bool:
    """Whether the command names its stack as its argument, or is about all of them."""
    noun, action = (*_plain(arguments), "", "")[:2]
    return noun == "stack" and action in ("init", "ls", "rm", "select")


def _plain(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in _from_verb(arguments) if not argument.startswith("-")]


def verb(arguments: Sequence[str]) -> str:
    """The CLI's command; empty where none is named."""
    return next(iter(_from_verb(arguments)), "")


def _from_verb(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments from the verb on. As the CLI finds it: what follows an option is its value."""
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if not argument.startswith("-"):
            break
        is_long, has_value = argument.startswith("--"), "=" in argument
        takes_next = not has_value and (is_long or len(argument) == len("-s")) and argument not in _SWITCHES
        index += 2 if takes_next else 1
    return arguments[index:]


def run_cli(arguments: Sequence[str]) -> int:
    """Run the CLI, or become it; its exit code.

    Raises:
        Refused: a part of this machine is missing and could not be had, or somebody else deploys the stack.
    """
    if verb(arguments) in _NEED_AN_ENGINE:
        use_context()
        ensure_engine(_report)
    cli = ensure_cli(_report)
    env = {**os.environ, **pulumi_environment(None)}
    stack = None
    if verb(arguments) not in _NEED_NO_STACK:
        stack = named_stack(arguments) or env.get("PULUMI_STACK") or _selected_stack(cli, env)
        if stack is None and not _manages_stacks(arguments):  # as for every verb of `bin/runbook`
            stack = env["PULUMI_STACK"] = os.environ.get(STACK_VARIABLE) or DEFAULT_STACK
        if stack and is_dev(stack):  # for any other, the CLI asks for the passphrase where it needs one
            env |= pulumi_environment(stack, env)
    if stack is None or verb(arguments) not in _CHANGES:
        os.execve(cli, [str(cli), *arguments], env)  # noqa: S606 - no shell is wanted
    with hold(bare_name(stack), f"bin/pulumi {verb(arguments)}") as holder:
        return _run_beside(cli, arguments, {**env, TOKEN: holder.token})


def _run_beside(cli: Path, arguments: Sequence[str], env: dict[str, str]) -> int:
    """Run the CLI on our terminal. Ctrl-C there is the CLI's own, and so is a signal to us: both end it."""
    process = subprocess.Popen([cli, *arguments], env=env)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _frame: process.send_signal(number))
    return process.wait()


def _selected_stack(cli: Path, env: dict[str, str]) -> str | None:
    done = subprocess.run(
        [cli, "stack", "--show-name", "--non-interactive"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def _report(line: str) -> None:
    print(f"runbook: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(run_cli(sys.argv[1:]))
    except Refused as error:
        sys.exit(f"error: {error}")
    except (DockerException, requests.RequestException) as error:
        sys.exit(f"error: the Docker engine: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")
