"""`--short`, for rollbacks: four checks, no wait, and each still refuses what it is meant for."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference_flaws import Flaws
from reference_target import running
from smoke_limits import NEVER_READY, NO_REPLY, Limits, limits_file
from smoke_runs import smoke

FORGED = "forged signature is refused [of another secret]"
RETRIED = "retried webhook is not answered again"
CHECKS = ["ready", "live answers", FORGED, RETRIED]

WRONG = {
    "never ready": (Flaws(never_ready=True), {"ready"}, NEVER_READY),
    "any signature": (Flaws(accepts_any_signature=True), {FORGED}, {}),
    "never answers": (Flaws(never_answers=True), {RETRIED}, NO_REPLY),
    "answers twice": (Flaws(answers_twice=True), {RETRIED}, {}),
    "forgets duplicates": (Flaws(forgets_duplicates=True), {RETRIED}, {}),
}


def test_a_right_target_passes_in_a_moment(tmp_path: Path) -> None:
    """All that is run is these four, whatever else was asked for, and the report says so."""
    limits = limits_file(tmp_path, {"smoke": {"settle_s": 120.0}})  # not waited for
    with running(Flaws()) as url:
        run = smoke(
            url, limits, tmp_path, "--short", "--logs-command", "false", "--faults-url", "http://127.0.0.1:9"
        )
    assert (run.exit_code, [check.name for check in run.report.checks]) == (0, CHECKS), run.output
    assert run.report.suite == "smoke, short"
    assert run.report.left_out == ["all but the short form's checks, --short", "dependencies, no --baseline"]
    assert "smoke, short: pass" in run.output
    assert run.report.duration_s < 60


@pytest.mark.parametrize(("flaws", "refusing", "waited_for"), WRONG.values(), ids=WRONG)
def test_a_wrong_target_is_refused(
    tmp_path: Path, flaws: Flaws, refusing: set[str], waited_for: Limits
) -> None:
    """By the check meant for it."""
    with running(flaws) as url:
        run = smoke(url, limits_file(tmp_path, waited_for), tmp_path, "--short")
    assert (run.exit_code, set(run.not_passed)) == (1, refusing), run.output
