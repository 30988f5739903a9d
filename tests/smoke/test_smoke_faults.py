"""The database's fault: set for whom it is meant, and ended however the check ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from reference_flaws import Flaws
from reference_server import serving
from reference_target import SECRET, ReferenceTarget
from smoke_limits import NEVER_TOLD, limits_file
from smoke_runs import ROOT, command, environment, smoke
from waiting import wait_until

from smoke.faults import Faults, FaultsError

ENDED: dict[str, Any] = {}
"""What the reference target notes when a fault is ended."""


@pytest.mark.parametrize(
    ("hosts", "fault"),
    [([], {"down": True}), (["--fault-hosts", "web-1, web-2"], {"down": True, "hosts": ["web-1", "web-2"]})],
)
def test_a_fault_is_for_the_hosts_under_test(
    limits: Path, tmp_path: Path, hosts: list[str], fault: dict[str, Any]
) -> None:
    """With --fault-hosts only their requests find the database down; it is set once, and ended."""
    release = ReferenceTarget(Flaws())
    with serving(release.app()) as url:
        run = smoke(url, limits, tmp_path, "--faults-url", f"{url}/faults", *hosts, "-k", "truth")
    assert run.passed == ["health tells the truth"]
    assert release.faults == [fault, ENDED]


def test_a_lie_is_told_with_what_health_said(tmp_path: Path) -> None:
    """The fault is ended though the check failed, and the reason shows the answer."""
    limits, release = limits_file(tmp_path, NEVER_TOLD), ReferenceTarget(Flaws(lies_about_the_database=True))
    with serving(release.app()) as url:
        run = smoke(url, limits, tmp_path, "--faults-url", f"{url}/faults", "-k", "truth")
    detail = run.check("health tells the truth").detail
    assert "the database was down, and at last GET /api/health answered 200" in detail
    assert release.faults[-1] == ENDED


def test_no_faults_there_is_a_failure_that_says_so(limits: Path, tmp_path: Path) -> None:
    """An address that takes no faults is not taken for a release that tells the truth."""
    with serving(ReferenceTarget(Flaws()).app()) as url:
        run = smoke(url, limits, tmp_path, "--faults-url", f"{url}/nowhere", "-k", "truth")
    assert (run.exit_code, run.not_passed) == (1, ["health tells the truth"])
    assert "PUT /nowhere/convex answered 404" in run.check("health tells the truth").detail


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_the_fault_is_ended(limits: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM while the database is down: it comes back before the suite ends."""
    release = ReferenceTarget(Flaws(lies_about_the_database=True))
    with serving(release.app()) as url:
        arguments = ("--targets", limits, "--base-url", url, "--faults-url", f"{url}/faults", "-k", "truth")
        process = subprocess.Popen(
            command(*arguments),
            cwd=ROOT,
            env=environment(WAHA_WEBHOOK_SECRET=SECRET),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_until(lambda: bool(release.faults), within_s=120)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
    assert (process.returncode, release.faults) == (pytest.ExitCode.INTERRUPTED, [{"down": True}, ENDED]), (
        output
    )
    assert "not run: no evidence" in output


@contextmanager
def faults_answering(*answers: int | httpx.HTTPError) -> Iterator[tuple[Faults, list[str]]]:
    """Faults whose requests are answered by these statuses, one after the other, and the methods used."""
    asked: list[str] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        it = left.pop(0)
        if isinstance(it, httpx.HTTPError):
            raise it
        return httpx.Response(it)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        yield Faults(client, "http://sandbox/faults", []), asked


def test_ending_is_tried_again() -> None:
    """One lost answer does not leave the database down."""
    with faults_answering(200, httpx.ReadError("reset"), 204) as (faults, asked):
        with faults.database_down():
            pass
        assert asked == ["PUT", "DELETE", "DELETE"]


def test_a_fault_that_cannot_be_ended_is_an_error() -> None:
    """It is said, with the request that failed."""
    with (
        faults_answering(200, 500, 500, 500) as (faults, _),
        pytest.raises(FaultsError, match=r"DELETE /faults/convex answered 500"),
        faults.database_down(),
    ):
        pass


def test_a_fault_of_which_nobody_knows_is_ended_too() -> None:
    """Where setting it was not answered it may be there all the same; the first error is told."""
    lost = httpx.ReadTimeout("timed out")
    with faults_answering(lost, 204) as (faults, asked):
        with (
            pytest.raises(FaultsError, match="PUT http://sandbox/faults/convex: no answer"),
            faults.database_down(),
        ):
            pytest.fail("the database is not known to be down")
        assert asked == ["PUT", "DELETE"]


def test_signals_are_handled_as_before_when_it_is_over() -> None:
    """What was changed for the fault's time is put back."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with faults_answering(200, 204) as (faults, _), faults.database_down():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("hosts", [[], ["--fault-hosts", "web-1"]])
def test_what_a_killed_run_left_is_ended_first(limits: Path, tmp_path: Path, hosts: list[str]) -> None:
    """SIGKILL while the database is down: the next run gives it back, and judges the release without it."""
    release = ReferenceTarget(Flaws(lies_about_the_database=True))
    with serving(release.app()) as url:
        given = ("--targets", str(limits), "--base-url", url, "--faults-url", f"{url}/faults", *hosts)
        process = subprocess.Popen(
            command(*given, "-k", "truth"), cwd=ROOT, env=environment(WAHA_WEBHOOK_SECRET=SECRET)
        )
        wait_until(lambda: bool(release.faults), within_s=120)
        process.kill()
        process.wait(120)
        assert release.is_down
        release.flaws.lies_about_the_database = False
        run = smoke(url, limits, tmp_path, *given)
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    assert release.faults[1] == ENDED


@pytest.mark.parametrize("fault", [{"latency_ms": 900}, {"down": True, "hosts": ["web-9"]}, {"status": 500}])
def test_a_fault_of_somebody_elses_is_left_alone(fault: dict[str, Any]) -> None:
    """What is not like ours was set by a person, for a purpose."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, json={"convex": fault})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        assert not Faults(client, "http://sandbox/faults", []).end_left_over()
    assert asked == ["GET"]
