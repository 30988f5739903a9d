"""A whole run, as small as can be: that it completes and counts right. How fast it was is no test."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from debian_programs import need
from on_demand import on_demand

from benchmarks.programs import REPOSITORY

pytestmark = pytest.mark.integration

TINY = [
    "--rounds=1",
    "--seconds=0.5",
    "--warm-up=0.3",
    "--memory-webhooks=500",
    "--backlog=200",
    "--log-lines=3000",
]
WITHIN_S = 120.0
POLL_INTERVAL_S = 0.05


@pytest.fixture(scope="module", autouse=True)
def redis_server() -> None:
    """The program, as `bin/runbook bench` sees to it."""
    need("redis-server", "jq")


def started_by(run: subprocess.Popen[bytes]) -> set[psutil.Process]:
    """All that *run* starts, found by looking until it has ended."""
    found: set[psutil.Process] = set()
    process = psutil.Process(run.pid)
    while run.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
        time.sleep(POLL_INTERVAL_S)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Where a run keeps its data: a folder of the repository, since that is on a disk."""
    folder = REPOSITORY / ".build" / "bench-test" / tmp_path.name
    yield folder
    for left in folder.glob("*"):
        left.rmdir()
    folder.rmdir()


def bench(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a tiny run with its data in *folder*."""
    command = [sys.executable, "-m", "benchmarks", *TINY, "--folder", str(folder), *options]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@on_demand
def test_everything_is_measured_and_nothing_left_behind(data: Path, tmp_path: Path) -> None:
    """Every webhook was answered 202, every message once; the servers and their files are gone."""
    file = tmp_path / "reports" / "report.json"
    run = bench(data, "--report", str(file))
    started = started_by(run)
    out, err = run.communicate()
    assert file.exists(), err.decode()
    report: dict[str, Any] = json.loads(file.read_text())
    loads = [
        load for part in ("webhooks", "latency") for side in report[part]["rounds"].values() for load in side
    ]
    assert len(loads) == 5  # webhooks on three sides, latency on two
    assert all(load["statuses"].keys() == {"202"} and load["answered"] > 0 for load in loads)
    assert report["memory"]["load"]["statuses"] == {"202": 500}
    assert report["worker"]["messages"] == 200
    assert report["logs"]["found"] > 50
    assert len(report["checks"]) == 5
    assert b"webhooks per second" in out
    assert len(started) > 10
    assert psutil.wait_procs(started, timeout=WITHIN_S)[1] == []
    assert not list(data.iterdir())


def test_interrupted_it_leaves_nothing_behind(data: Path) -> None:
    """No server, no generator, no file; and no traceback."""
    run = bench(data, "--seconds=60")
    deadline = time.monotonic() + WITHIN_S
    while len(psutil.Process(run.pid).children()) < 3:  # Redis, the reference, the generator
        assert time.monotonic() < deadline
        time.sleep(POLL_INTERVAL_S)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=WITHIN_S)
    assert run.returncode == 130
    assert psutil.wait_procs(children, timeout=WITHIN_S)[1] == []
    assert not list(data.iterdir())
    assert b"Traceback" not in err
