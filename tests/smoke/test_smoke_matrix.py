"""The proof of the suite: a right target passes, and each wrong one is refused by the check meant for it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from reference_flaws import Flaws
from reference_metrics import Processes
from reference_server import serving
from reference_target import ReferenceTarget, running
from smoke_limits import NEVER_READY, NO_ANSWER, limits_file
from smoke_runs import Run, smoke
from wrong_targets import ANSWERED, TRUTH, TWICE, WAITED_FOR, WRONG

from contracts.verdict import Verdict


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that a target logs to, not there yet."""
    file = tmp_path / "log"
    file.touch()
    return file


def smoke_of(flaws: Flaws, limits: Path, folder: Path, log: Path, *arguments: str) -> Run:
    """Run the suite, with its logs, against a target with these flaws."""
    with running(flaws, log) as url:
        return smoke(url, limits, folder, "--logs-command", f"cat {log}", *arguments)


def smoke_with_faults_of(flaws: Flaws, limits: Path, folder: Path, log: Path) -> Run:
    """Run the suite with all that it can check over http."""
    with running(flaws, log) as url:
        given = ("--logs-command", f"cat {log}", "--faults-url", f"{url}/faults", "--fault-hosts", "web-1")
        return smoke(url, limits, folder, *given)


def test_a_right_target_passes(limits: Path, tmp_path: Path, log: Path) -> None:
    """Nothing is refused at a target that does everything right, though it takes a few probes to be ready."""
    run = smoke_with_faults_of(Flaws(ready_after_probes=1), limits, tmp_path, log)
    assert (run.exit_code, run.report.verdict, run.not_passed) == (0, Verdict.PASS, []), run.output
    assert run.check("ready").samples == 2
    assert all(check.samples > 0 and check.limit is not None for check in run.report.checks)
    assert len(run.report.checks) == len({check.name for check in run.report.checks}) >= 70
    assert (run.report.suite, run.report.left_out) == ("smoke", ["TLS, --base-url is http"])


def test_what_was_not_asked_for_is_left_out_and_said(limits: Path, tmp_path: Path) -> None:
    """Without their options logs and faults are no failure, no pass either, and named with the reason."""
    with running(Flaws(logs_no_json=True, lies_about_the_database=True)) as url:
        run = smoke(url, limits, tmp_path)
    assert (run.exit_code, run.not_passed) == (0, []), run.output
    reasons = [
        "logs, no --logs-command",
        "TLS, --base-url is http",
        "health tells the truth, no --faults-url",
    ]
    assert sorted(run.report.left_out) == sorted(reasons)
    assert all(f"left out: {reason}" in run.output for reason in reasons)
    assert not {"logs carry the request id", "health tells the truth"} & {it.name for it in run.report.checks}


def test_several_web_processes_behind_one_address_pass(limits: Path, tmp_path: Path) -> None:
    """Whichever of them a proxy picks for a webhook and for a page of metrics, both are found again."""
    for number in (2, 3, 4):
        with serving(ReferenceTarget(Flaws(), Processes(number)).app()) as url:
            run = smoke(url, limits, tmp_path, "-k", "webhooks_are_counted or metrics_are_there")
        assert (run.passed, run.not_passed) == (["metrics are there", "webhooks are counted"], []), run.output


def test_the_sent_texts_may_stand_for_the_gate_lane(limits: Path, tmp_path: Path) -> None:
    """With --replies-url the suite passes at a public frontend, which has no gate lane."""
    with running(Flaws(has_no_gate_lane=True)) as url:
        run = smoke(url, limits, tmp_path, "--replies-url", f"{url}/waha/sent")
    assert (run.exit_code, run.not_passed) == (0, []), run.output


@pytest.mark.parametrize("flaw", WRONG)
def test_a_wrong_target_is_refused_by_the_check_meant_for_it(tmp_path: Path, log: Path, flaw: str) -> None:
    """Exactly the checks meant for a flaw refuse it, each with value or reason, limit and a line."""
    flaws, refusing = WRONG[flaw]
    limits = limits_file(tmp_path, WAITED_FOR.get(flaw))
    run = (smoke_with_faults_of if TRUTH in refusing else smoke_of)(flaws, limits, tmp_path, log)
    assert (run.exit_code, run.report.verdict) == (1, Verdict.FAIL)
    assert set(run.not_passed) == refusing, run.output
    for name in refusing:
        check = run.check(name)
        assert (check.limit is not None and check.samples > 0) or check.detail
        assert str(check) in run.output
    assert "Traceback" not in run.output


def test_a_second_reply_that_comes_late_is_waited_for(tmp_path: Path, log: Path) -> None:
    """After each message's own checks, so that none of them sees it."""
    patient = limits_file(tmp_path, {"smoke": {"settle_s": 2.0}})
    run = smoke_of(Flaws(answers_again_late=True), patient, tmp_path, log)
    assert (run.exit_code, set(run.not_passed)) == (1, {TWICE}), run.output


def test_every_flaw_is_tried() -> None:
    """No flaw that the reference target can have is without its proof."""
    elsewhere = {
        *("answers_twice", "answers_again_late", "hangs_on_webhooks", "has_no_gate_lane", "lacks_hsts"),
        *("never_ready", "ready_after_probes", "finds_down_at_first", "takes_only"),
    }
    right = asdict(Flaws())
    tried = {
        name for flaws, _ in WRONG.values() for name, value in asdict(flaws).items() if value != right[name]
    }
    assert tried | elsewhere == set(asdict(Flaws()))


def test_answering_twice_is_refused_by_every_check_that_counts_replies(limits: Path, tmp_path: Path) -> None:
    """A target that answers everything twice fails where replies are counted, with count and limit."""
    with running(Flaws(answers_twice=True)) as url:
        run = smoke(url, limits, tmp_path)
    check = run.check(f"{ANSWERED} [sha512]")
    assert (run.exit_code, check.verdict, check.value, check.limit, check.unit) == (
        1,
        Verdict.FAIL,
        2,
        1,
        "replies",
    )
    assert run.check("no message has a second reply").value == 2


def test_what_is_not_run_is_said(tmp_path: Path) -> None:
    """A target that is never ready stops the run: the report has the probes made, and what was not run."""
    with running(Flaws(never_ready=True)) as url:
        run = smoke(url, limits_file(tmp_path, {"ready": {"within_s": 2.0}}), tmp_path)
    ready, rest = run.report.checks
    assert (ready.verdict, ready.limit, ready.unit) == (Verdict.FAIL, 2.0, "s")
    assert ready.samples >= 2
    assert "503" in ready.detail
    assert (run.exit_code, str(ready) in run.output, "Traceback" in run.output) == (1, True, False)
    assert (rest.name, rest.verdict, rest.samples) == ("not run", Verdict.NO_EVIDENCE, 0)
    assert "the release never became ready" in rest.detail
    assert " more" in rest.detail


def test_a_target_that_is_not_there_is_a_failed_check(tmp_path: Path) -> None:
    """A refused connection is the reason of a failed check, not a traceback."""
    run = smoke("http://127.0.0.1:9", limits_file(tmp_path, NEVER_READY), tmp_path)
    assert (run.exit_code, run.not_passed) == (1, ["ready"])
    assert "refused" in run.check("ready").detail
    assert "Traceback" not in run.output


def test_a_target_that_stops_answering_is_given_up(tmp_path: Path) -> None:
    """Webhooks that hang fail their checks with the reason; after a few the run ends instead of waiting."""
    with running(Flaws(hangs_on_webhooks=True)) as url:
        run = smoke(url, limits_file(tmp_path, NO_ANSWER), tmp_path)
    assert (run.exit_code, len(run.not_passed)) == (1, 3)
    assert run.check("webhooks are counted").detail.endswith("no answer within 1.5 s")
    assert "3 requests were not answered" in run.check("not run").detail
    assert "Traceback" not in run.output


def test_the_public_frontend_without_replies_url_says_what_to_give(limits: Path, tmp_path: Path) -> None:
    """Replies that cannot be read fail the check with the way out."""
    with running(Flaws(has_no_gate_lane=True)) as url:
        run = smoke(url, limits, tmp_path)
    assert run.exit_code == 1
    assert "--replies-url" in run.check(f"{ANSWERED} [sha512]").detail


def test_a_run_of_nothing_is_no_evidence(limits: Path, tmp_path: Path) -> None:
    """When no test is selected the report says no evidence, and the exit code is not zero."""
    run = smoke("http://127.0.0.1:9", limits, tmp_path, "-k", "nothing_of_this_name")
    assert run.report.verdict is Verdict.NO_EVIDENCE
    assert [check.name for check in run.report.checks] == ["not run"]
    assert run.exit_code != 0
