"""A run that checked less than it should is no evidence, whoever left the rest out."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference_flaws import Flaws
from reference_target import SECRET, running
from smoke_runs import pytest_smoke, smoke

from contracts.verdict import Verdict
from smoke.checks import CHECKS, SHORT, check_name

LESS = {
    "by name": "-k test_headers",
    "by mark": "-m short",
    "one of them": "--deselect 'test_headers.py::test_security_headers_of[health]'",
    "a file": "--ignore-glob='*test_metrics.py'",
    "other names": "-o python_functions=test_h*",
    "collected only": "--collect-only",
    "set up only": "--setup-only",
    "without Python": "-p no:python",
    "two processes": "-n 2",
    "two processes each": "--dist each --tx 2*popen",
}


def test_every_check_is_known() -> None:
    """The list is what the suite consists of; nothing is run that is not on it, or the other way round."""
    done = pytest_smoke(
        *("--collect-only", "-q", "--base-url", "https://127.0.0.1:9"),
        *("--logs-command", "true", "--faults-url", "http://127.0.0.1:9"),
        env={"WAHA_WEBHOOK_SECRET": SECRET},
    )
    found = [line.split(".py::") for line in done.stdout.splitlines() if "::" in line]
    collected = {file: [test for its, test in found if its == file] for file in dict.fromkeys(dict(found))}
    assert {file: sorted(tests) for file, tests in collected.items()} == {
        file: sorted(tests) for file, tests in CHECKS.items()
    }, done.stdout
    assert list(collected) == list(CHECKS)
    assert {test for tests in CHECKS.values() for test in tests} > SHORT


@pytest.mark.parametrize("options", LESS.values(), ids=LESS)
def test_a_pass_on_less_is_no_evidence(limits: Path, tmp_path: Path, options: str) -> None:
    """What pytest was made to leave out is named, and the exit code is not zero."""
    with running(Flaws()) as url:
        run = smoke(url, limits, tmp_path, PYTEST_ADDOPTS=options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="")
    assert (run.report.verdict, run.exit_code != 0) == (Verdict.NO_EVIDENCE, True), run.output
    passed = [check for check in run.report.checks if check.name != "not run"]
    missing = run.check("not run")
    assert len(passed) < len(passed) + int(missing.value or 0) == _whole_over_http()
    assert "PYTEST_ADDOPTS" in missing.detail
    assert "Traceback" not in run.output


def test_a_pass_of_the_short_form_on_less_is_no_evidence(limits: Path, tmp_path: Path) -> None:
    """A rollback's few checks are known as well."""
    with running(Flaws()) as url:
        run = smoke(url, limits, tmp_path, "--short", PYTEST_ADDOPTS="-k ready")
    assert (run.report.verdict, run.exit_code) == (Verdict.NO_EVIDENCE, 1), run.output
    assert run.check("not run").value == len(SHORT) - 1


@pytest.mark.parametrize("loaded", ["", "1"])
def test_plugins_make_no_difference(limits: Path, tmp_path: Path, loaded: str) -> None:
    """With what is installed beside, or without: the same checks, and a pass."""
    with running(Flaws()) as url:
        run = smoke(url, limits, tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD=loaded)
    assert (run.exit_code, run.report.verdict, len(run.report.checks)) == (
        0,
        Verdict.PASS,
        _whole_over_http(),
    ), run.output


def test_names_are_words() -> None:
    """A check's name is its test's, as words; the parameter is in brackets, or the word after "of"."""
    assert check_name("test_live_answers") == "live answers"
    assert check_name("test_health_of[database]") == "health of database"
    assert (
        check_name("test_forged_signature_is_refused[not_ASCII]") == "forged signature is refused [not_ASCII]"
    )


def _whole_over_http() -> int:
    """How many checks a run has over http, with neither logs nor faults."""
    return sum(
        len(tests) for file, tests in CHECKS.items() if file not in ("test_tls", "test_logs", "test_truth")
    )
