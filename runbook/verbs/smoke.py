"""`smoke`: signed webhooks against a running release, through to the reply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.suites import run, target_of

Url = Annotated[
    str | None, typer.Option("--url", help="Where to; without it the stack's candidate frontend.")
]
Short = Annotated[
    bool, typer.Option("--short", help="About a second: ready, live, answers once, refuses a forgery.")
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline", help="The live release's gate lane: no dependency may be worse than it finds it."
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", dir_okay=False, resolve_path=True, help="Write JUnit's XML to this file too."),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report", dir_okay=False, resolve_path=True, help="Write the checks to this file, as JSON."
    ),
]


def smoke(
    stack: Stack = DEFAULT_STACK,
    url: Url = None,
    short: Short = False,
    junit: Junit = None,
    report: ReportFile = None,
    baseline: Baseline = None,
    as_json: Json = False,
) -> None:
    """Run the smoke suite.

    Health, refusals, one answer per message.
    """
    address, secret = target_of(stack, url)
    run("smoke", address, secret, *arguments_of(short, junit, report, baseline), as_json=as_json)


def arguments_of(short: bool, junit: Path | None, report: Path | None, baseline: str | None) -> list[str]:
    """The suite's own words for the verb's options. It runs in another folder: paths are whole."""
    return [
        *(["--short"] if short else []),
        *(["--junitxml", str(junit)] if junit else []),
        *(["--report", str(report)] if report else []),
        *(["--baseline", baseline] if baseline else []),
    ]
