"""The scenarios as a process, against targets that are right at an even rate and broken in one other way."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from load_run import CHECKOUT, LOCUST, failed, finish, run_gate, start
from load_target import Behaviour, TellsOfTheFirst, serving
from load_targets import write_scenarios

from contracts.verdict import Verdict

SHAPES = """
[steady]
about = "even"
[burst]
about = "at once"
phases = [{ seconds = 0.5, rate_per_s = 20 }, { at_once = 100 }, { seconds = 0.5, rate_per_s = 20 }]
limits = { late_ms = 4000 }
[duplicates]
about = "again"
rate_per_s = 100
duplicates = 0.4
[signatures]
about = "forged"
rate_per_s = 100
bad_signatures = 0.45
[health]
about = "probed"
health_per_s = 10
"""


def shaped(folder: Path, *names: str) -> list[str]:
    """The arguments for these scenarios, short ones."""
    return ["--scenarios-file", str(write_scenarios(folder, SHAPES)), "--scenario", ",".join(names)]


def test_several_scenarios_make_one_report(tmp_path: Path) -> None:
    """Each has all checks under its name, steady under none; one verdict; figures of each second for each."""
    series = tmp_path / "series.json"
    names = ("steady", "burst", "duplicates", "signatures", "health")
    with serving() as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, *names), "--series", str(series))
    assert run.report is not None
    assert (run.code, run.report.verdict) == (0, Verdict.PASS), run.output
    assert [run.check(f"{prefix}error rate").samples for prefix in ("", "burst: ")] == [70, 120]
    assert run.check("signatures: bad signatures").samples == 78
    assert run.check("duplicates: lost").samples == 106
    assert run.check("health: health").samples == 18
    assert "bad signatures" not in {check.name for check in run.report.checks}
    told = json.loads(series.read_text())["scenarios"]
    assert [scenario["name"] for scenario in told] == list(names)
    sent = [[second["sent"] for second in scenario["seconds"]] for scenario in told]
    assert sent[:2] == [[40, 30], [120]]


def test_single_scenario_has_plain_names(tmp_path: Path) -> None:
    """There is nothing to tell apart, and its own limits hold."""
    with serving() as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, "burst"))
    assert run.code == 0, run.output
    assert run.check("error rate").samples == 120


def test_scenarios_that_were_not_begun_are_no_evidence(tmp_path: Path) -> None:
    """An interruption in the first leaves those after it in the report, without any figure."""
    behaviour, series = TellsOfTheFirst(), tmp_path / "series.json"
    with serving(behaviour) as url:
        arguments = [*shaped(tmp_path, "steady", "burst"), "--duration", "30", "--series", str(series)]
        process, report = start(tmp_path, url, *arguments)
        assert behaviour.came.wait(120)
        process.send_signal(signal.SIGTERM)
        run = finish(process, report)
    assert (run.code, failed(run)) == (3, set())
    assert "interrupted (after 0 of 120 webhooks)" in run.check("burst: sent on time").detail
    assert run.check("burst: generator CPU").value is None
    assert [scenario["name"] for scenario in json.loads(series.read_text())["scenarios"]] == ["steady"]


class Crowded(Behaviour):
    """Answers 503 where more than seventy are there at once, as a pool that is too small does."""

    def __init__(self) -> None:
        self._there = 0

    async def answer(self, number: int) -> int:
        """503 or 202, after a moment."""
        self._there += 1
        try:
            await asyncio.sleep(0.75)
            return 503 if self._there > 70 else 202
        finally:
            self._there -= 1


def test_errors_under_burst_alone_are_refused(tmp_path: Path) -> None:
    """A release that is good at an even rate and fails when many come at once is refused by that check.

    However slow the machine is: all that comes at the even rate is seventy.
    """
    with serving(Crowded()) as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, "steady", "burst"))
    assert run.code == 1, run.output
    assert "burst: error rate" in failed(run)
    assert not [name for name in failed(run) if not name.startswith("burst: ")]
    assert run.check("burst: error rate").detail.startswith("status 503: ")


class Forgetful(Behaviour):
    """Answers every webhook's message, whether or not it came before."""

    knows_duplicates = False


def test_duplicates_answered_twice_are_refused(tmp_path: Path) -> None:
    """Each form in which WAHA repeats a message counts: every repeated one is doubled."""
    with serving(Forgetful()) as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, "duplicates"))
    assert (run.code, failed(run)) == (1, {"doubled"})
    value = run.check("doubled").value
    assert isinstance(value, float)
    assert value > 40


class Careless(Behaviour):
    """Takes whatever comes."""

    looks_at_signatures = False


def test_accepted_forgeries_are_refused(tmp_path: Path) -> None:
    """The first webhook that is taken without the right signature ends the run."""
    with serving(Careless()) as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, "signatures"))
    assert run.code == 1
    assert "bad signatures" in failed(run)
    assert "bad signature accepted" in run.check("error rate").detail
    assert run.check("error rate").samples < 40


class Sick(Behaviour):
    """Hangs at its fifth health probe, and takes webhooks as if nothing were."""

    async def health(self, number: int) -> int:
        """200, or never."""
        await (asyncio.Event().wait() if number == 4 else asyncio.sleep(0))
        return 200


def test_health_that_hangs_under_load_is_refused(tmp_path: Path) -> None:
    """A probe without an answer within `[health]`'s time fails, and nothing else does."""
    with serving(Sick()) as url:
        run = run_gate(tmp_path, url, *shaped(tmp_path, "health"))
    assert (run.code, failed(run)) == (1, {"health"})
    assert run.check("health").detail == "no answer within 3 s: 1"


class StallsOnce(Behaviour):
    """Takes 4 s for one webhook."""

    async def answer(self, number: int) -> int:
        """At once, or not."""
        await asyncio.sleep(4 if number == 30 else 0)
        return 202


def test_single_stall_is_refused(tmp_path: Path) -> None:
    """One webhook that takes 4 s fails the slowest, where the p95 is as good as ever."""
    with serving(StallsOnce()) as url:
        run = run_gate(tmp_path, url)
    assert (run.code, failed(run)) == (1, {"slowest webhook"})
    assert run.check("webhook p95").verdict is Verdict.PASS


def test_scenarios_are_listed() -> None:
    """Without a host or a secret: name and what it is about, and nothing of Locust's."""
    done = subprocess.run(
        [*LOCUST, "--list-scenarios"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert all(re.fullmatch(r"[a-z]+ +\S.*", line) for line in done.stdout.splitlines())
    assert done.stdout.startswith("steady ")


@pytest.fixture
def busy_core() -> Iterator[None]:
    """Another process that keeps a core busy."""
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    hog.kill()
    hog.wait()


class Takes(Behaviour):
    """Takes so long for each answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def answer(self, number: int) -> int:
        """After a while."""
        await asyncio.sleep(self._seconds)
        return 202


@pytest.mark.usefixtures("busy_core")
def test_candidate_is_held_against_the_live_release(tmp_path: Path) -> None:
    """Three times as slow is refused and equally fast passes, though another process loads a core."""
    shape = ["--rate", "50", "--duration", "10"]
    with serving(Takes(0.1)) as live, serving(Takes(0.1)) as equal, serving(Takes(0.3)) as slow:
        good = run_gate(tmp_path, equal, "--baseline", live, *shape)
        bad = run_gate(tmp_path, slow, "--baseline", live, *shape, "--series", str(tmp_path / "series"))
    assert (good.code, good.check("webhook against live").verdict) == (0, Verdict.PASS), good.output
    assert bad.code == 1, bad.output
    assert failed(bad) <= {"webhook against live", "reply against live"}, bad.output
    assert bad.check("webhook p95").verdict is Verdict.PASS
    (scenario,) = json.loads((tmp_path / "series").read_text())["scenarios"]
    assert all(second["baseline_p50_ms"] < second["p50_ms"] for second in scenario["seconds"])


class OfBefore(Takes):
    """A release from before the secret was rotated."""

    secret = "the-one-before"


def test_live_release_of_another_secret_is_compared_with(tmp_path: Path) -> None:
    """Given that secret it is asked with it; without it a release three times as slow does not pass."""
    shape = ["--rate", "50", "--duration", "10"]
    with serving(OfBefore(0.1)) as live, serving(Takes(0.3)) as slow:
        unknown = run_gate(tmp_path, slow, "--baseline", live, *shape)
        known = run_gate(
            tmp_path, slow, "--baseline", live, *shape, WAHA_WEBHOOK_SECRET_BASELINE=OfBefore.secret
        )
    assert unknown.check("webhook against live").verdict is Verdict.NO_EVIDENCE, unknown.output
    assert unknown.code == 3, unknown.output
    assert known.check("webhook against live").verdict is Verdict.FAIL, known.output


def test_dead_live_release_is_replaced(tmp_path: Path) -> None:
    """Where nothing answers at the live release's address, the candidate passes by its own figures."""
    with serving() as url:
        run = run_gate(tmp_path, url, "--baseline", "http://127.0.0.1:1")
    assert run.code == 0, run.output
    for name in ("webhook against live", "reply against live"):
        assert run.check(name).value == "live is failing"
        assert "70 of 70 webhooks to it failed" in run.check(name).detail
