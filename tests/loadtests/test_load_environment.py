"""The gate's own run of the load suite: the same, whatever variables and files say to Locust."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_target import SECRET, serving
from load_targets import write_targets

from contracts.verdict import Verdict
from infra.suite_run import run_suite
from infra.suites import suite_command

FOREIGN = {
    "LOCUST_USERS": "5",
    "LOCUST_RUN_TIME": "1s",
    "LOCUST_LOCUSTFILE": "of_another_project.py",
    "LOCUST_HOST": "http://127.0.0.1:1",
    "LOCUST_TARGETS": "/of/another/project",
}


def test_variables_and_files_for_locust_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good release passes on all checks, though another project wants five users for a second."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (".locust.conf", "locust.conf"):
        (home / name).write_text("users = 5\nrun-time = 1s\nloglevel = NONSENSE\n")
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    report = tmp_path / "load.json"
    with serving() as url:
        command = suite_command("load", url, report, "--targets", str(write_targets(tmp_path)))
        found = run_suite("load", "r-1", command, report, {"WAHA_WEBHOOK_SECRET": SECRET}, 60)
    assert found.report is not None, (tmp_path / "load.log").read_text()
    assert (found.refusal, found.report.verdict) == ([], Verdict.PASS)
    assert next(check.samples for check in found.report.checks if check.name == "error rate") == 70
