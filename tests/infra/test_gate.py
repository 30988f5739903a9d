"""The gate believes nothing but a report and an exit code that both say "pass"."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.verdict import Check, Report, Verdict
from infra.dynamic.gate import GateProvider, judge
from infra.errors import Refused
from infra.suites import SUITES, suite_command

SLOW = Check(
    name="webhook p95", verdict=Verdict.FAIL, value=4012, limit=500, unit="ms", samples=1000, detail=""
)
FINE = Check(name="error rate", verdict=Verdict.PASS, value=0.0, limit=0.01, samples=1000)


def written(folder: Path, *checks: Check) -> Path:
    """A report file with these checks."""
    file = folder / "load.json"
    file.write_text(Report.of("load", list(checks), 20.0).model_dump_json())
    return file


def test_a_pass_becomes_figures(tmp_path: Path) -> None:
    """The evidence goes into the state as plain data."""
    figures = judge("load", "r-1", 0, written(tmp_path, FINE), tmp_path / "log")
    assert figures["verdict"] == "pass"
    assert figures["checks"][0]["samples"] == 1000


def test_a_refusal_names_check_value_limit_and_samples(tmp_path: Path) -> None:
    """And only the checks that did not pass."""
    with pytest.raises(Refused) as refused:
        judge("load", "r-1", 1, written(tmp_path, FINE, SLOW), tmp_path / "log")
    assert "webhook p95: fail: 4012 ms, limit 500 ms, samples 1000" in str(refused.value)
    assert "error rate" not in str(refused.value)


def test_no_report_is_no_pass(tmp_path: Path) -> None:
    """A suite that died, exit code 0 or not, has proved nothing."""
    with pytest.raises(Refused, match="gave no report"):
        judge("load", "r-1", 0, tmp_path / "load.json", tmp_path / "log")


def test_a_report_without_checks_is_no_pass(tmp_path: Path) -> None:
    """An empty run is no evidence."""
    with pytest.raises(Refused, match="no evidence"):
        judge("load", "r-1", 0, written(tmp_path), tmp_path / "log")


def test_a_good_report_of_a_suite_that_failed_is_no_pass(tmp_path: Path) -> None:
    """The exit code counts too: something after the report may have gone wrong."""
    with pytest.raises(Refused, match="exit code 3"):
        judge("load", "r-1", 3, written(tmp_path, FINE), tmp_path / "log")


def test_commands_name_url_and_report(tmp_path: Path) -> None:
    """Both suites are what an operator could type."""
    for suite in SUITES:
        command = suite_command(suite, "http://127.0.0.1:1", tmp_path / "r.json")
        assert "http://127.0.0.1:1" in command
        assert str(tmp_path / "r.json") in command


def test_a_gate_never_changes() -> None:
    """A release's id covers its content, so what passed once need not pass again."""
    assert GateProvider().diff("gate-r-1", {}, {"release": "r-1"}).changes is False
