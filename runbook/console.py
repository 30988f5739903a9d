"""How the runbook speaks: results on stdout, progress and errors on stderr; no colour without a terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def say(line: str) -> None:
    """Tell of one step."""
    err.print(line, markup=False)


def say_error(message: str, hint: str = "") -> None:
    """Tell what was wrong and what to do, in the form that scripts may look for."""
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False)
    if hint:
        err.print("hint:", style="bold", end=" ")
        err.print(hint, markup=False)


def show(text: str) -> None:
    """A verb's result, to the letter: rich would expand tabs, and wrap at the terminal's width."""
    print(text)


def show_row(text: str, console: Console = out) -> None:
    """A row of a table: cut off at the edge of a terminal, so that it stays one line."""
    if console.is_terminal:
        console.print(text, markup=False, no_wrap=True, overflow="ellipsis")
    else:
        show(text)


def print_json(data: Any) -> None:
    """A verb's result for machines: one JSON document on stdout."""
    show(json.dumps(data, indent=2, sort_keys=True, default=str))
