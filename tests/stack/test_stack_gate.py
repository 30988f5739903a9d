"""The gate's own test: broken releases are refused, each by the check meant for it; good ones pass.

`RUNBOOK_GATE=full` tries all broken releases and 20 good ones, with the limits of `targets.toml`.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Iterator

import pytest
from broken_releases import BROKEN
from on_demand import FULL, on_demand
from project import Project
from sender import Sender
from steady_client import SteadyClient

from infra.manifest import BUILD

pytestmark = [pytest.mark.stack, pytest.mark.gate]

SHORT_FORM = ("replies twice", "drops each 50th message")  # one for smoke, one for load
GOOD_RELEASES = 20
TABLE = BUILD / "reports" / "gate-matrix.md"


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """What came of each release, as a table in the reports."""
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("| release | took | outcome |\n|---|---:|---|\n")
    yield
    print(f"\n{TABLE.read_text()}")


def note(release: str, took_s: float, outcome: str) -> None:
    """A line of the table."""
    with TABLE.open("a") as lines:
        lines.write(f"| {release} | {took_s:.0f} s | {outcome} |\n")


@pytest.fixture
def busy() -> Iterator[None]:
    """Another process that loads one core."""
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    yield
    process.kill()
    process.join()


def _spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("flaw", BROKEN if FULL else SHORT_FORM)
def test_a_broken_release_is_refused_by_the_check_meant_for_it(live: Project, flaw: str) -> None:
    """`up` exits 1, names that check with value, limit and samples, and live traffic goes on."""
    broken, before = BROKEN[flaw], live.outputs()["release"]
    client = SteadyClient(live.ports["port"], Sender(live.webhook_secret()), connections=2, per_s=20)
    began = time.monotonic()
    with live.broken(broken.file, f"\n\n{broken.code}"), client:
        refused = live.runbook("up")
    said = refused.stderr.partition("error: ")[2]
    line = next((line for line in said.splitlines() if line.strip().startswith(broken.check)), "")
    note(flaw, time.monotonic() - began, line.strip() or f"NOT BY {broken.check}: {said.splitlines()[:4]}")
    assert refused.returncode == 1, refused.stderr
    assert re.search(broken.says, said), said
    assert "limit" in line
    assert "samples" in line
    assert "Traceback" not in refused.stderr + refused.stdout
    assert client.failures == []
    assert live.outputs()["release"] == before
    assert live.runbook("releases").stdout.splitlines()[1].split()[1] == "refused"
    assert live.deploy() == before


@on_demand
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("number", range(1, GOOD_RELEASES + 1))
def test_a_good_release_passes_on_a_busy_machine(live: Project, number: int) -> None:
    """Noise is no reason to refuse a release that does what the one before did."""
    before = live.outputs()["release"]
    live.append("service/webhooks/webhook.py", f"\n# good {number}\n")
    began = time.monotonic()
    done = live.runbook("up", "--no-watch")
    note(f"good {number}", time.monotonic() - began, "live" if done.returncode == 0 else done.stderr[-300:])
    assert done.returncode == 0, done.stderr
    assert live.outputs()["release"] != before
