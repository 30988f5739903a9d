"""A suite is believed only where a report and an exit code both say "pass"."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from contracts.verdict import Check, Report, Verdict
from infra.errors import Refused
from infra.suite_run import judge, run_suite
from infra.suites import Depth, suite_command

SLOW = Check(
    name="webhook p95", verdict=Verdict.FAIL, value=4012, limit=500, unit="ms", samples=1000, detail=""
)
FINE = Check(name="error rate", verdict=Verdict.PASS, value=0.0, limit=0.01, samples=1000)


def written(folder: Path, *checks: Check) -> Path:
    """A report file with these checks."""
    file = folder / "load.json"
    file.write_text(Report.of("load", list(checks), 20.0).model_dump_json())
    return file


def test_a_pass_is_figures_and_no_refusal(tmp_path: Path) -> None:
    """The evidence goes into the state."""
    found = judge("load", "r-1", 0, written(tmp_path, FINE))
    assert found.report is not None
    assert found.report.checks[0].samples == 1000
    assert found.refusal == []


def test_a_refusal_names_check_value_limit_and_samples(tmp_path: Path) -> None:
    """And only the checks that did not pass."""
    found = judge("load", "r-1", 1, written(tmp_path, FINE, SLOW))
    assert found.refusal == [
        "gate: load refused release r-1 (fail):",
        "  webhook p95: fail: 4012 ms, limit 500 ms, samples 1000",
        f"  log: {tmp_path / 'load.log'}",
    ]


@pytest.mark.parametrize("text", [None, "", "{}", '{"suite": "load"'])
def test_no_report_is_no_pass(tmp_path: Path, text: str | None) -> None:
    """A suite that died, exit code 0 or not, has proved nothing; half a report is none."""
    if text is not None:
        (tmp_path / "load.json").write_text(text)
    found = judge("load", "r-1", 0, tmp_path / "load.json")
    assert found.report is None
    assert "gave no report (exit code 0)" in found.refusal[0]


def test_a_report_without_checks_is_no_pass(tmp_path: Path) -> None:
    """An empty run is no evidence."""
    assert "no evidence" in judge("load", "r-1", 0, written(tmp_path)).refusal[0]


def test_a_good_report_of_a_suite_that_failed_is_no_pass(tmp_path: Path) -> None:
    """The exit code counts too: something after the report may have gone wrong."""
    assert "  exit code 3" in judge("load", "r-1", 3, written(tmp_path, FINE)).refusal


def test_an_earlier_runs_report_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    """A suite that says nothing now did not pass because it did before."""
    found = run_suite(
        "load", "r-1", [sys.executable, "-c", "print('hello')"], written(tmp_path, FINE), {}, 30
    )
    assert found.report is None
    assert (tmp_path / "load.log").read_text() == "hello\n"


def test_a_suite_that_does_not_end_is_no_pass(tmp_path: Path) -> None:
    """It is ended, and said so, with what sets the time."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    found = run_suite("load", "r-1", command, tmp_path / "load.json", {}, within_s=0.2)
    assert "did not end within 0.2 s ([gate] within_s of targets.toml)" in found.refusal[0]


def test_a_suite_that_somebody_wants_to_stop_ends_in_order(tmp_path: Path) -> None:
    """As by Ctrl-C: what it has disturbed it takes back."""
    program = (
        "import pathlib, time\n"
        "try:\n    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
        "finally:\n    print('taken back', flush=True)\n"
    )
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", program.replace("'begun'", repr(str(begun)))]
    with pytest.raises(Refused, match="gate: asked to stop; r-1 was not judged"):
        run_suite("load", "r-1", command, tmp_path / "load.json", {}, 60, begun.exists)
    assert "taken back" in (tmp_path / "load.log").read_text()


WITH_CHILD = """
import os, pathlib, subprocess, sys, time
begun, child = pathlib.Path(sys.argv[1]), subprocess.Popen(["sleep", "120"])
if sys.argv[2:] and not sys.stdin.readline():
    sys.exit()
try:
    begun.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
    begun.with_suffix(".new").rename(begun)
    time.sleep(120)
finally:
    print("taken back", flush=True)
"""
"""A suite that has a child, as a Locust with workers; with a second argument it begins on input."""

KILLED = """
import sys, threading
from pathlib import Path
from infra import suite_run

suite_run._GRACE_S = 1.0
folder, program, how = Path(sys.argv[1]), *sys.argv[2:]
command = [sys.executable, "-c", program, str(folder / "begun"), *([how] if how else [])]
given = ("smoke", "r-1", command, folder / "smoke.json", {}, 120)
run = threading.Thread(target=suite_run.run_suite, args=given, kwargs={"prepare": int if how else None})
run.start()
run.join()
"""


def is_alive(process: int) -> bool:
    """Whether it has not ended; nobody may be there to reap it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", ["", "begins on input"])
def test_a_suite_ends_with_whoever_runs_it(tmp_path: Path, how: str) -> None:
    """A killed update's would load what is live, and nobody would end it; it takes back what it disturbed."""
    begun, command = tmp_path / "begun", [sys.executable, "-c", KILLED, str(tmp_path), WITH_CHILD, how]
    with subprocess.Popen(command, start_new_session=True) as runner:
        wait_until(begun.exists)
        os.killpg(runner.pid, signal.SIGKILL)
    suite, child = map(int, begun.read_text().split())
    wait_until(lambda: not is_alive(suite) and not is_alive(child), within_s=60)
    assert "taken back" in (tmp_path / "smoke.log").read_text()


def test_a_suite_ends_at_once_when_its_runner_is_told_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C comes while it has time to end."""
    monkeypatch.setattr("infra.suite_run._GRACE_S", 60)
    begun, stubborn = tmp_path / "begun", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"

    def interrupt_twice() -> bool:
        if begun.exists():
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            raise KeyboardInterrupt
        return False

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    command = [sys.executable, "-c", f"{stubborn}\n{WITH_CHILD}", str(begun)]
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_suite("load", "r-1", command, tmp_path / "load.json", {}, 60, interrupt_twice)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not is_alive(int(begun.read_text().split()[0]))


def test_what_a_suite_has_started_ends_with_it(tmp_path: Path) -> None:
    """Workers of a Locust that did not end in time would go on sending."""
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", WITH_CHILD, str(begun)]
    with pytest.raises(Refused, match="asked to stop"):
        run_suite("load", "r-1", command, tmp_path / "load.json", {}, 60, begun.exists)
    suite, child = map(int, begun.read_text().split())
    assert not is_alive(suite)
    wait_until(lambda: not is_alive(child), within_s=20)


def test_what_a_suite_needs_is_prepared_while_it_starts(tmp_path: Path) -> None:
    """It begins when that is done, and not before."""
    program = (
        "import pathlib, sys, time\n"
        "pathlib.Path('started').touch()\n"
        "assert not pathlib.Path('prepared').exists()\n"
        "assert sys.stdin.readline()\n"
        "assert pathlib.Path('prepared').exists()\n"
        "print('begun')\n"
    ).replace("Path('", f"Path('{tmp_path}/")
    started = tmp_path / "started"

    def prepare() -> None:
        wait_until(started.exists)
        (tmp_path / "prepared").touch()

    command = [sys.executable, "-c", program]
    run_suite("smoke", "r-1", command, tmp_path / "smoke.json", {}, 60, prepare=prepare)
    assert (tmp_path / "smoke.log").read_text() == "begun\n"


def test_a_suite_whose_preparation_fails_does_not_begin(tmp_path: Path) -> None:
    """What would it ask? It ends, and the failure is told."""
    program = "import sys\nif sys.stdin.readline():\n    print('begun')\n"
    with pytest.raises(ZeroDivisionError):
        run_suite(
            "smoke",
            "r-1",
            [sys.executable, "-c", program],
            tmp_path / "smoke.json",
            {},
            60,
            prepare=lambda: 1 // 0,
        )
    assert "begun" not in (tmp_path / "smoke.log").read_text()


def test_a_suite_that_ended_before_it_should_begin_has_no_report(tmp_path: Path) -> None:
    """It could not start: that is said, and nothing else goes wrong."""
    gone = tmp_path / "gone"
    command = [sys.executable, "-c", f"import pathlib\npathlib.Path('{gone}').touch()"]

    def prepare() -> None:
        wait_until(gone.exists)

    found = run_suite("smoke", "r-1", command, tmp_path / "smoke.json", {}, 60, prepare=prepare)
    assert "gave no report (exit code 0)" in found.refusal[0]


def test_commands_name_url_and_report(tmp_path: Path) -> None:
    """Both suites are what an operator could type."""
    for suite in Depth.FULL.suites:
        command = suite_command(suite, "http://127.0.0.1:1", tmp_path / "r.json")
        assert "http://127.0.0.1:1" in command
        assert str(tmp_path / "r.json") in command


def test_a_new_release_is_put_through_all_and_one_that_passed_through_smoke_only() -> None:
    """Load takes half a minute, which an emergency does not have."""
    assert Depth.FULL.suites == ("smoke", "load")
    assert Depth.SMOKE.suites == Depth.SHORT.suites == ("smoke",)
