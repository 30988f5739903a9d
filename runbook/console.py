"""How the runbook speaks: results on stdout, progress and errors on stderr; no colour without a terminal.

A stream that cannot encode a character gets its number instead. One of which nobody reads the end, or whose
disk is full, ends no work: progress is lost, and a result that is lost is exit code 1.
"""

from __future__ import annotations

import io
import json
import locale
import os
import sys
from contextlib import suppress
from typing import Any, Never

from rich.console import Console
from rich.text import Text

from infra.stack_name import name_stack
from runbook.errors import RunbookError


class ErrorConsole(Console):
    """Standard error, which may lose its reader while we work."""

    def on_broken_pipe(self) -> None:
        """Say nothing any more; rich's own way is to end the program."""
        self.quiet = True


_SPOKEN_OF: list[str] = []
"""The stack that a verb works on, where a command without `--stack` would work on another."""

out = Console(highlight=False, emoji=False)
err = ErrorConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def prepare_streams() -> None:
    """Let nothing that is printed fail for want of a character; the encoding is the locale's, or one set."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = None if os.environ.get("PYTHONIOENCODING") else _of_the_locale()
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _of_the_locale() -> str | None:
    """The locale's encoding, where it is a special one: `bin/` has Python use UTF-8 for all else."""
    encoding = locale.getencoding()
    return None if encoding in ("ANSI_X3.4-1968", "US-ASCII", "utf-8", "UTF-8") else encoding


def deliver_result() -> None:
    """Write what is left of standard output.

    Raises:
        SystemExit: it cannot be written; said, unless its reader has gone, who did not want more.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _end_unread()
    except OSError as error:
        say_error(f"standard output: {error}", "the result is not whole: mend that and run it again")
        _end_unread()


def _end_unread() -> Never:
    """End with the result lost; it would fail again, with a traceback, when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def speak_of_stack(stack: str) -> None:
    """From now on the commands that are named in what is said are about *stack*."""
    _SPOKEN_OF[:] = [stack]


def say(line: str) -> None:
    """Tell of one step."""
    with suppress(OSError):
        err.print(_for_the_stack(line), markup=False)


def say_error(message: str, hint: str = "") -> None:
    """Tell what was wrong and what to do, in the form that scripts may look for."""
    with suppress(OSError):
        err.print("error:", style="bold red", end=" ")
        err.print(_for_the_stack(message), markup=False)
        if hint:
            err.print("hint:", style="bold", end=" ")
            err.print(_for_the_stack(hint), markup=False)


def _for_the_stack(text: str) -> str:
    return name_stack(text, _SPOKEN_OF[0]) if _SPOKEN_OF else text


def show(text: str) -> None:
    """A verb's result, in plain: rich would expand tabs, and wrap at the terminal's width."""
    try:
        print(text)
    except BrokenPipeError:
        _end_unread()


def show_exactly(text: str) -> None:
    """A verb's result that is of use to the letter only.

    Raises:
        RunbookError: standard output cannot encode it; without the text.
    """
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError as error:
        raise RunbookError(
            f"standard output ({sys.stdout.encoding}) cannot show all characters of the value",
            "run it again with PYTHONIOENCODING=utf-8",
        ) from error
    show(text)


def show_row(text: str | Text, console: Console = out) -> None:
    """A row of a table: cut off at the edge of a terminal, so that it stays one line."""
    if console.is_terminal:
        console.print(text, markup=False, no_wrap=True, overflow="ellipsis")
    else:
        show(str(text))


def print_json(data: Any) -> None:
    """A verb's result for machines: one JSON document on stdout."""
    show(json.dumps(data, indent=2, sort_keys=True, default=str))
