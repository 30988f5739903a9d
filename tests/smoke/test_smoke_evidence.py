"""From what a test does to its check: nothing but a measurement within its limit is a pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.verdict import Report, Verdict
from smoke.evidence import Measured, conclude

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "smoke"

ODD_TESTS = """
import pytest

@pytest.fixture
def broken():
    raise ValueError("no such fixture value")

@pytest.fixture
def breaks_afterwards():
    yield
    raise ValueError("cannot clean up")

def test_records_nothing(measured): pass
def test_asks_for_nothing(): pass
def test_raises(measured): raise ValueError("first line\\nsecond line")
def test_raises_after_a_pass(measured):
    measured(1, 2, ok=True, samples=1)
    raise ValueError("too late")
def test_cannot_begin(measured, broken): measured(1, 2, ok=True, samples=1)
def test_cannot_end(measured, breaks_afterwards): measured(1, 2, ok=True, samples=1)
def test_skipped(measured): pytest.skip("not today")
def test_without_samples(measured): measured(0, 2, ok=True, samples=0)
def test_swallows_a_failure(measured):
    try:
        measured(3, 2, ok=False, samples=1, detail="three")
    except AssertionError:
        pass
def test_passes(measured): measured(1, 2, ok=True, samples=5)
"""


def test_the_latest_record_is_the_check() -> None:
    """A test may record one condition after the other; the last one stands for all."""
    measured = Measured("answered")
    measured(202, "2xx", ok=True, samples=1)
    measured(0.2, 15, unit="s", ok=True, samples=1)
    check = conclude(measured, None)
    assert (check.verdict, check.value, check.limit, check.unit) == (Verdict.PASS, 0.2, 15, "s")


def test_what_is_not_within_its_limit_ends_the_test() -> None:
    """A failed record raises with the check's line, and its reason is kept."""
    measured = Measured("answered")
    with pytest.raises(AssertionError, match="answered: fail: 500, limit 2xx, samples 1: oh"):
        measured(500, "2xx", ok=False, samples=1, detail="oh")
    assert conclude(measured, "AssertionError: …").detail == "oh"


def run_odd_tests(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], Report]:
    """Run the odd tests as if they were the suite; give the ended process and its report."""
    (folder / "conftest.py").write_text("from smoke.conftest import *\n")
    (folder / "test_ready.py").write_text(ODD_TESTS)
    report = folder / "report.json"
    command = [sys.executable, "-m", "pytest", str(folder), "-c", str(SMOKE / "pytest.ini"), *arguments]
    command += ["--base-url", "http://127.0.0.1:9", "--report", str(report)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "WAHA_WEBHOOK_SECRET": "x"}
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True)
    return done, Report.model_validate_json(report.read_text())


def test_a_failure_that_a_test_swallows_fails_it(tmp_path: Path) -> None:
    """What was recorded counts, also where the test went on as if nothing were: for pytest too."""
    done, report = run_odd_tests(tmp_path, "-k", "swallows")
    assert "1 failed" in done.stdout
    assert (done.returncode, report.verdict) == (1, Verdict.FAIL)


def test_no_odd_end_of_a_test_is_a_pass(tmp_path: Path) -> None:
    """Nothing recorded, an exception, a failed fixture, a skip, no samples: no such check passed."""
    done, report = run_odd_tests(tmp_path)
    checks = [check for check in report.checks if check.name != "not run"]
    reasons = {check.name: (check.verdict.value, check.value, check.detail) for check in checks}
    assert done.returncode == 1
    assert reasons == {
        "records nothing": ("fail", None, "the test recorded nothing"),
        "asks for nothing": ("fail", None, "the test recorded nothing"),
        "raises": ("fail", None, "ValueError: first line second line"),
        "raises after a pass": ("fail", 1, "ValueError: too late"),
        "cannot begin": ("fail", None, "ValueError: no such fixture value"),
        "cannot end": ("fail", 1, "ValueError: cannot clean up"),
        "skipped": ("fail", None, "Skipped: not today"),
        "without samples": ("no evidence", 0, ""),
        "swallows a failure": ("fail", 3, "three"),
        "passes": ("pass", 1, ""),
    }
    assert "Traceback" not in done.stdout + done.stderr
