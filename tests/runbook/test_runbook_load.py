"""`load` hands what it is told to the suite, and its verdict back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomlkit
from load_target import SECRET, serving

from contracts.targets import TARGETS_FILE
from contracts.verdict import Report
from infra.manifest import REPOSITORY

PATIENT = {
    "late_ms": 60_000,
    "slowest_ms": 60_000,
    "webhook_p95_ms": 60_000,
    "reply_p95_ms": 60_000,
    "answer_timeout_s": 60,
    "max_generator_cpu": 1,
}
"""Limits that every machine keeps: how fast this one is, is not the subject here."""

WITH_TARGETS = """
import sys
import runbook.suites
from runbook.cli import main
command = runbook.suites.suite_command
targets = sys.argv.pop(1)
runbook.suites.suite_command = lambda *asked: [*command(*asked), "--targets", targets]
main()
"""
"""`bin/runbook`, whose suites have the targets of a file."""


@pytest.fixture
def patient(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What runs `bin/runbook` with the project's own targets, but `PATIENT`."""
    targets = tomlkit.parse(TARGETS_FILE.read_text())
    targets["load"].update(PATIENT)  # type: ignore[union-attr]
    file = tmp_path_factory.mktemp("targets") / "targets.toml"
    file.write_text(tomlkit.dumps(targets))
    return ["-c", WITH_TARGETS, str(file)]


def run_load(
    *words: str, folder: Path = REPOSITORY, program: Sequence[str] = ("-m", "runbook")
) -> subprocess.CompletedProcess[str]:
    """`bin/runbook load`, typed in *folder*."""
    return subprocess.run(
        [sys.executable, *program, "load", *words],
        cwd=folder,
        env={**os.environ, "WAHA_WEBHOOK_SECRET": SECRET, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_suite_gets_all_that_is_typed(patient: list[str], tmp_path: Path) -> None:
    """Scenario, shape, processes and files, each where it was typed; the report is printed too."""
    files = ["--report", "r.json", "--series", "s.json", "--html", "page.html", "--csv", "table"]
    shape = ["--scenario", "duplicates", "--rate", "100", "--duration", "6", "--processes", "2"]
    with serving() as url:
        done = run_load("--url", url, *shape, *files, "--json", folder=tmp_path, program=patient)
    assert done.returncode == 0, done.stderr
    report = Report.model_validate_json((tmp_path / "r.json").read_text())
    assert json.loads(done.stdout) == report.model_dump(mode="json")
    samples = {check.name: check.samples for check in report.checks}
    assert (samples["error rate"], samples["generator CPU"]) == (800, 3)
    (series,) = json.loads((tmp_path / "s.json").read_text())["scenarios"]
    assert (series["name"], sum(second["sent"] for second in series["seconds"])) == ("duplicates", 800)
    assert "<html" in (tmp_path / "page.html").read_text()[:200]
    assert ",800,0," in (tmp_path / "table_stats.csv").read_text()


def test_baseline_is_compared(patient: list[str]) -> None:
    """The live release's address goes to the suite, which judges the two beside each other."""
    with serving() as url, serving() as live:
        shape = ["--duration", "6", "--rate", "60"]
        done = run_load("--url", url, "--baseline", live, *shape, "--json", program=patient)
    checks = Report.model_validate_json(done.stdout).checks
    compared = [check for check in checks if check.name == "webhook against live"]
    assert [check.verdict for check in compared] == ["no evidence"], done.stderr
    assert "6 blocks of 1 s, at least 15 are needed" in compared[0].detail


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenario", "stedy"], "should be among steady, ramp, burst, soak"),
        (["--rate", "0"], "greater than or equal to 0.1"),
        (["--processes", "0"], "greater than or equal to 1"),
        (["--html", "/"], "is a directory"),
    ],
)
def test_wrong_word_is_a_usage_error(words: list[str], said: str) -> None:
    """It is refused with its value before anything is sent."""
    done = run_load("--url", "http://127.0.0.1:1", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_what_the_suite_refuses_is_said() -> None:
    """What only the suite can know is its own error, in its own words."""
    done = run_load("--url", "http://127.0.0.1:1", "--scenario", "burst", "--baseline", "http://127.0.0.1:2")
    assert done.returncode == 1
    assert "error: --baseline: the comparison is made in scenario steady, got burst" in done.stderr


def test_help_names_every_scenario() -> None:
    """So that one finds them."""
    done = run_load("--help")
    scenarios = tomllib.loads((REPOSITORY / "loadtests" / "scenarios.toml").read_text())
    told = " ".join(done.stdout.split())
    assert ", ".join(scenarios) in told
