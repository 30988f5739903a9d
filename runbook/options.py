"""Options that several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[str, typer.Option("--stack", envvar="RUNBOOK_STACK", help="The stack to work on.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

DEFAULT_STACK = "dev"
