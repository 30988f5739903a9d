"""`python -m benchmarks.candidates [servers] [json] [redis]`: one table for each kind of package."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

from benchmarks.candidates import json_packages, redis_clients, servers
from benchmarks.candidates.row import Candidate
from benchmarks.console import table_console
from benchmarks.errors import BenchError

KINDS = {
    "servers": ("Servers: read the body, answer 202", servers),
    "json": ("JSON: a webhook's body", json_packages),
    "redis": ("Redis clients: pipelines of 32 XADD", redis_clients),
}


def main() -> None:
    """Measure the kinds asked for, and say which candidates were left out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.candidates", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)}; all by default")
    kinds = parser.parse_args().kinds or list(KINDS)
    if unknown := set(kinds) - KINDS.keys():
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    console = table_console()
    try:
        for kind in kinds:
            title, module = KINDS[kind]
            console.print(table(title, module.COLUMNS, module.candidates()))
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")


def table(title: str, columns: Sequence[str], candidates: Sequence[Candidate]) -> Table:
    """The candidates of one kind, each with its figures, or with what it lacks."""
    rows = Table(title=title, title_justify="left", box=None, pad_edge=False)
    rows.add_column("")
    for column in columns:
        rows.add_column(column, justify="right")
    rows.add_column("versions")
    for candidate in candidates:
        if missing := missing_packages(candidate):
            hint = f"left out: pip install {' '.join(missing)}"
            rows.add_row(candidate.name, *("-" for _ in columns), hint)
        else:
            versions = ", ".join(f"{package} {version(package)}" for package in candidate.packages)
            rows.add_row(candidate.name, *candidate.measure(), versions)
    return rows


def missing_packages(candidate: Candidate) -> list[str]:
    """What *candidate* needs and is not installed."""
    missing = []
    for package in candidate.packages:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    return missing


if __name__ == "__main__":
    main()
