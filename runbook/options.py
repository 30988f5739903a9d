"""Options that several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from infra.stack_name import DEFAULT_STACK
from runbook.console import speak_of_stack

__all__ = ["DEFAULT_STACK", "STACK_VARIABLE", "Json", "Since", "Stack", "read_moment", "read_text"]

STACK_VARIABLE = "RUNBOOK_STACK"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"(\d{1,9})([smhd])")
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


def read_moment(text: str) -> int:
    """A time in ms since 1970: so long ago, or an ISO time, UTC unless it says another zone."""
    try:
        if found := _AGO.fullmatch(text):
            then = datetime.now(UTC) - timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])
        else:
            then = datetime.fromisoformat(text)
        return int((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time: 90s, 15m, 1h, 2d ago, or such as 2026-12-01T03:00"
        ) from None


def read_text(given: str) -> str:
    """A text that DuckDB takes, too: Python makes half characters of bytes that are no UTF-8."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"{given!r} is no UTF-8") from None
    return given


Since = Annotated[
    int | None,
    typer.Option(parser=read_moment, metavar="TIME", help="From: 90s, 15m, 1h, 2d ago, or an ISO time."),
]
Stack = Annotated[
    str,
    typer.Option("--stack", envvar=STACK_VARIABLE, callback=_stack_name, help="The stack to work on."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
