"""Tables on standard output: as wide as the terminal, or as they need where there is none."""

from __future__ import annotations

import sys

from rich.console import Console

_NO_TERMINAL = 140


def table_console() -> Console:
    """A console that does not fold tables in a pipe or file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL)
