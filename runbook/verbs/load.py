"""`load`: shapes of load against a running release, judged by targets.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from contracts.free_ports import free_port
from infra.manifest import REPOSITORY
from runbook.options import DEFAULT_STACK, Json, Stack
from runbook.suites import run, target_of
from runbook.verbs.smoke import Url

# The suite's own file is its list of scenarios; the suite itself is only ever a process beside this one.
_SCENARIOS = tuple(tomllib.loads((REPOSITORY / "loadtests" / "scenarios.toml").read_text(encoding="utf-8")))


def _known(names: list[str] | None) -> list[str] | None:
    for name in names or []:
        if name not in _SCENARIOS:
            raise typer.BadParameter(f"should be among {', '.join(_SCENARIOS)}, got {name!r}")
    return names


Scenarios = Annotated[
    list[str] | None,
    typer.Option(
        "--scenario",
        callback=_known,
        help=f"What to run, again for the next: {', '.join(_SCENARIOS)}; default: steady.",
    ),
]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.1, help="Webhooks per second, instead of targets.toml's.")
]
Duration = Annotated[
    float | None, typer.Option("--duration", min=1, help="Seconds, instead of targets.toml's.")
]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, help="Send from so many processes, for more than a core.")
]
Baseline = Annotated[
    str | None, typer.Option("--baseline", help="The live release's URL: steady compares the two in one run.")
]
_FILE = {"dir_okay": False, "resolve_path": True}
Html = Annotated[Path | None, typer.Option("--html", **_FILE, help="Write Locust's page with charts there.")]
Csv = Annotated[
    Path | None, typer.Option("--csv", resolve_path=True, help="Write Locust's tables there: a prefix.")
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", **_FILE, help="Write the verdict there as JSON.")
]
SeriesFile = Annotated[
    Path | None, typer.Option("--series", **_FILE, help="Write each second's figures there as JSON.")
]


def load(
    stack: Stack = DEFAULT_STACK,
    url: Url = None,
    scenario: Scenarios = None,
    rate: Rate = None,
    duration: Duration = None,
    processes: Processes = None,
    html: Html = None,
    csv: Csv = None,
    report: ReportFile = None,
    series: SeriesFile = None,
    baseline: Baseline = None,
    as_json: Json = False,
) -> None:
    """Run the load suite.

    Error rate, latency from the intended send time, nothing lost, nothing doubled.
    """
    address, secret = target_of(stack, url)
    given = {
        "--rate": rate,
        "--duration": duration,
        "--html": html,
        "--csv": csv,
        "--report": report,
        "--series": series,
        "--baseline": baseline,
    }
    named = [word for name in scenario or [] for word in ("--scenario", name)]
    more = [*named, *_words(given), *(_workers(processes) if processes else [])]
    run("load", address, secret, *more, as_json=as_json)


def _words(given: Mapping[str, object]) -> list[str]:
    """The options that were given, as the suite takes them."""
    return [str(word) for name, value in given.items() if value is not None for word in (name, value)]


def _workers(processes: int) -> list[str]:
    """So many workers of a master that listens on this machine only, at a port that is free now."""
    port = str(free_port())
    bound = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(processes), *bound]
