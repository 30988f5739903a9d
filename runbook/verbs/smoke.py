"""`smoke`: signed webhooks against a running release, through to the reply."""

from __future__ import annotations

from typing import Annotated

import typer

from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.suites import run, target_of

Url = Annotated[
    str | None, typer.Option("--url", help="Where to; without it the stack's candidate frontend.")
]


def smoke(stack: Stack = DEFAULT_STACK, url: Url = None, as_json: Json = False) -> None:
    """Run the smoke suite.

    Health, refusals, one answer per message.
    """
    address, secret = target_of(stack, url)
    run("smoke", address, secret, as_json=as_json)
