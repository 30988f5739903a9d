"""`load`: an open arrival rate against a running release, judged by targets.toml."""

from __future__ import annotations

from typing import Annotated

import typer

from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.suites import run, target_of
from runbook.verbs.smoke import Url

Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, help="Webhooks per second, instead of targets.toml's.")
]
Duration = Annotated[
    float | None, typer.Option("--duration", min=1, help="Seconds, instead of targets.toml's.")
]


def load(
    stack: Stack = DEFAULT_STACK,
    url: Url = None,
    rate: Rate = None,
    duration: Duration = None,
    as_json: Json = False,
) -> None:
    """Run the load suite.

    Error rate, latency from the intended send time, nothing lost, nothing doubled.
    """
    address, secret = target_of(stack, url)
    shape = [*(["--rate", str(rate)] if rate else []), *(["--duration", str(duration)] if duration else [])]
    run("load", address, secret, *shape, as_json=as_json)
