"""Options that several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

import os
import re
from typing import Annotated

import typer

from infra.stack_name import DEFAULT_STACK
from runbook.console import speak_of_stack

__all__ = ["DEFAULT_STACK", "STACK_VARIABLE", "Json", "Stack"]

STACK_VARIABLE = "RUNBOOK_STACK"
_STACK = re.compile(r"(\w[\w.-]*/){0,2}\w[\w.-]{0,99}", re.ASCII)


def _stack_name(given: str) -> str:
    """Refuse what Pulumi would: the name becomes part of file names, labels and container names."""
    if not _STACK.fullmatch(given):
        raise typer.BadParameter(
            f"{given!r} is no stack: letters, digits, hyphens, underscores and dots make one"
        )
    if given != DEFAULT_STACK or STACK_VARIABLE in os.environ:
        speak_of_stack(given)
    return given


Stack = Annotated[
    str,
    typer.Option("--stack", envvar=STACK_VARIABLE, callback=_stack_name, help="The stack to work on."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
