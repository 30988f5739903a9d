"""The suite and the service as it is: what the gate runs, what an operator runs, and a broken release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bare_release import BareRelease, bare_release, url_of
from smoke_runs import Run, smoke

from contracts.targets import TARGETS_FILE

LONGEST_S = 240
"""What the suite may take of a deployment's time, on slow cores that others use too (4 s on idle ones)."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareRelease]:
    """A release that is ready."""
    with bare_release(tmp_path_factory.mktemp("release")) as release:
        yield release


def test_the_service_passes_in_time(release: BareRelease, tmp_path: Path) -> None:
    """Through the candidate frontend every check but TLS passes, in the time that a deployment has for it."""
    told = ("--logs-command", release.logs_command, "--faults-url", release.faults_url)
    run = smoke(url_of(release.candidate), TARGETS_FILE, tmp_path, *told, "--fault-hosts", "127.0.0.1")
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    assert run.report.left_out == ["TLS, --base-url is http"]
    assert run.report.duration_s <= LONGEST_S, run.output
    assert httpx.get(release.faults_url, trust_env=False).json() == {}


def test_the_short_form_passes(release: BareRelease, tmp_path: Path) -> None:
    """The four checks of a rollback pass, in a fraction of that time."""
    run = smoke(url_of(release.candidate), TARGETS_FILE, tmp_path, "--short")
    assert (run.exit_code, run.report.suite, len(run.report.checks)) == (0, "smoke, short", 4), run.output
    assert run.report.duration_s <= LONGEST_S / 4


def test_live_messages_are_answered_once_too(release: BareRelease, tmp_path: Path) -> None:
    """Without a proxy messages are live: what was sent is read at the sandbox's WAHA."""
    run = live(release, tmp_path)
    assert (run.exit_code, run.not_passed) == (0, []), run.output


def test_a_fault_for_other_hosts_is_not_the_releases(release: BareRelease, tmp_path: Path) -> None:
    """Where the database is down for others only, health says that it is up, and the check says for whom."""
    run = live(
        release, tmp_path, "--faults-url", release.faults_url, "--fault-hosts", "192.0.2.1", "-k", "truth"
    )
    assert (run.exit_code, run.not_passed) == (1, ["health tells the truth"])
    detail = run.check("health tells the truth").detail
    assert "down for 192.0.2.1, and at last GET /api/health answered 200" in detail


def live(release: BareRelease, folder: Path, *arguments: str) -> Run:
    """Run the suite against one web process itself."""
    replies = ("--replies-url", f"{url_of(release.sandbox)}/waha/sent")
    return smoke(url_of(release.webs[0]), TARGETS_FILE, folder, *replies, *arguments)
