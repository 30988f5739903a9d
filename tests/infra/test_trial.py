"""What a trial makes of what its suites and its containers show; the trial itself runs in whole stacks."""

from __future__ import annotations

import pytest

from contracts.verdict import Check, Report, Verdict
from infra.dynamic.trial import lines_against, verdict_of
from infra.suite_run import Found
from infra.suites import Depth


def report(suite: str, verdict: Verdict) -> Report:
    """A report with one check."""
    return Report.of(suite, [Check(name="a check", verdict=verdict, value=1, samples=1)], 1)


PASSED = Found(report("smoke", Verdict.PASS), [])
REFUSED = Found(report("load", Verdict.FAIL), ["gate: load refused release r-1 (fail):"])


@pytest.mark.parametrize("depth", Depth)
def test_nothing_is_said_against_a_release_that_passed(depth: Depth) -> None:
    """All suites passed, the containers were well."""
    assert lines_against("r-1", [PASSED, PASSED], report("containers", Verdict.PASS), depth) == []


@pytest.mark.parametrize("depth", Depth)
def test_a_container_that_failed_is_told_first(depth: Depth) -> None:
    """Whatever the gate's depth, whatever the suites said: it is why they found no answer."""
    failed = report("containers", Verdict.FAIL)
    assert lines_against("r-1", [PASSED], failed, depth)[0].startswith("gate: containers refused release r-1")
    lines = lines_against("r-1", [PASSED, REFUSED], failed, depth)
    assert lines[0].startswith("gate: containers refused release r-1 (fail)")
    assert lines[-1] == "gate: load refused release r-1 (fail):"


def test_containers_of_which_too_little_was_seen_are_no_pass() -> None:
    """A full gate takes long enough to see them; a shorter one does not, and a suite's refusal is enough."""
    unseen = report("containers", Verdict.NO_EVIDENCE)
    assert lines_against("r-1", [PASSED], unseen, Depth.FULL)[0].endswith("r-1 (no evidence):")
    assert lines_against("r-1", [PASSED], unseen, Depth.SHORT) == []
    assert lines_against("r-1", [PASSED, REFUSED], unseen, Depth.FULL) == REFUSED.refusal


@pytest.mark.parametrize(
    ("verdicts", "refusal", "verdict"),
    [
        (["pass", "pass", "pass"], [], Verdict.PASS),
        (["pass", "pass", "no evidence"], [], Verdict.PASS),
        (["pass", "fail", "pass"], ["error rate: fail"], Verdict.FAIL),
        (["pass", "no evidence", "pass"], ["generator CPU: no evidence"], Verdict.NO_EVIDENCE),
        (["pass"], ["gate: load on r-1 gave no report"], Verdict.NO_EVIDENCE),
    ],
)
def test_a_refusal_without_a_failure_is_no_evidence(
    verdicts: list[str], refusal: list[str], verdict: Verdict
) -> None:
    """The page and the state say which it was."""
    assert verdict_of([{"verdict": each} for each in verdicts], refusal) is verdict
