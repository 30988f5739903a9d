"""The comparison of servers and packages: what it leaves out, and that its applications do the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from benchmarks.candidates import asgi_app, json_packages, redis_clients, servers
from benchmarks.candidates.__main__ import missing_packages, table
from benchmarks.candidates.row import Candidate
from benchmarks.programs import REPOSITORY


def never() -> tuple[str, ...]:
    """What must not be measured."""
    raise AssertionError("measured without its packages")


def test_what_is_not_installed_is_left_out_by_name() -> None:
    """With what to install; the others are measured."""
    rows = [
        Candidate("absent", ("no-such-package-1", "pytest", "no-such-package-2"), never),
        Candidate("present", ("pytest",), lambda: ("7",)),
    ]
    console = Console(width=120)
    with console.capture() as said:
        console.print(table("A title", ("a figure",), rows))
    lines = [" ".join(line.split()) for line in said.get().splitlines()]
    assert "absent - left out: pip install no-such-package-1 no-such-package-2" in lines
    assert f"present 7 pytest {pytest.__version__}" in lines


@pytest.mark.parametrize("module", [servers, json_packages, redis_clients])
def test_what_the_lock_has_is_never_left_out(module: Any) -> None:
    """Whatever else there is, the packages that were chosen are compared."""
    assert [each.name for each in module.candidates() if not missing_packages(each)]


async def test_the_application_reads_the_whole_body() -> None:
    """One that answered before would have less to do."""
    chunks: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.request", "body": b"b"},
        ]
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(chunks)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asgi_app.app({"type": "http"}, receive, send)
    assert next(chunks, None) is None
    assert (sent[0]["status"], json.loads(sent[1]["body"])) == (202, {"status": "accepted"})


def test_an_unknown_kind_is_a_usage_error() -> None:
    """It is named, and nothing is measured."""
    command = [sys.executable, "-m", "benchmarks.candidates", "databases"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such kind: databases" in done.stderr
