"""The gate's own run of the suite: the same, whatever the machine's variables and files say to pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference_flaws import Flaws
from reference_target import SECRET, running

from contracts.verdict import Report
from infra.suite_run import Found, run_suite
from infra.suites import suite_command

FOREIGN = {
    "few tests": {"PYTEST_ADDOPTS": "-k test_headers"},
    "no tests": {"PYTEST_ADDOPTS": "--collect-only"},
    "many processes": {"PYTEST_ADDOPTS": "-n 2"},
    "an unknown option": {"PYTEST_ADDOPTS": "--of-another-project"},
    "a missing plugin": {"PYTEST_PLUGINS": "of_another_project"},
    "warnings are errors": {"PYTHONWARNINGS": "error"},
}


def gate(url: str, limits: Path, folder: Path, *more: str) -> Found:
    """Run the suite as a trial does."""
    command = suite_command("smoke", url, folder / "smoke.json", "--targets", str(limits), *more)
    return run_suite("smoke", "r-1", command, folder / "smoke.json", {"WAHA_WEBHOOK_SECRET": SECRET}, 300)


def judged(found: Found, folder: Path) -> Report:
    """The report, which must be there."""
    assert found.report is not None, (folder / "smoke.log").read_text()
    return found.report


@pytest.fixture(scope="module")
def undisturbed(limits: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the checks of a run on this machine as it is."""
    folder = tmp_path_factory.mktemp("gate")
    with running(Flaws()) as url:
        found = gate(url, limits, folder)
    assert found.refusal == [], (folder / "smoke.log").read_text()
    return [check.name for check in judged(found, folder).checks]


@pytest.mark.parametrize("variables", FOREIGN.values(), ids=FOREIGN)
def test_variables_for_pytest_make_no_difference(
    limits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: list[str],
    variables: dict[str, str],
) -> None:
    """No check is missing and a good release is not refused."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with running(Flaws()) as url:
        found = gate(url, limits, tmp_path)
    assert found.refusal == []
    assert [check.name for check in judged(found, tmp_path).checks] == undisturbed


def test_files_of_the_user_make_no_difference(
    limits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: list[str]
) -> None:
    """Nor does what lies in the folder where the deployment was started."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("pytest.ini", "tox.ini"):
        (home / name).write_text("[pytest]\naddopts = --collect-only\npython_files = none_*.py\n")
    (home / "conftest.py").write_text("raise SystemExit('theirs')")
    (home / "sitecustomize.py").write_text("raise SystemExit('theirs')")
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(home))
    with running(Flaws()) as url:
        found = gate(url, limits, tmp_path)
    assert found.refusal == []
    assert [check.name for check in judged(found, tmp_path).checks] == undisturbed
