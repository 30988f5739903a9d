"""What a stack's name becomes in the names of its parts."""

from __future__ import annotations

import re

PROJECT = "runbook"
"""The project's name in `Pulumi.yaml`."""

DEFAULT_STACK = "dev"
"""What a command works on that names no stack."""

_COMMAND = re.compile(r"`((?:\w+='[^'`]*' )?bin/(?:runbook|pulumi)) (\w+)([^`]*)`")
_WITHOUT_STACK = {"test", "bench"}


def bare_name(stack: str) -> str:
    """The name of *stack* without organization and project: the engine knows no such."""
    return stack.rpartition("/")[2]


def prefix_of(stack: str) -> str:
    """What the names of the stack's containers, volumes and networks begin with."""
    return f"{PROJECT}-{bare_name(stack)}"


def name_stack(text: str, stack: str) -> str:
    """*text* with `--stack` in each command of ours that is named without: typed as it is, it is right."""

    def named(found: re.Match[str]) -> str:
        program, verb, rest = found.groups()
        is_named = "--stack" in rest or verb in _WITHOUT_STACK
        return found[0] if is_named else f"`{program} {verb}{rest} --stack {stack}`"

    return _COMMAND.sub(named, text)
