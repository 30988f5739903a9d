"""The proof of the suite: a right target passes, and each wrong one is refused by the check meant for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from reference_target import SECRET, Flaws, running

from contracts.targets import TARGETS_FILE
from contracts.verdict import Check, Report, Verdict

ROOT = Path(__file__).resolve().parents[2]
LIMITS: dict[str, dict[str, Any]] = {
    "ready": {"within_s": 1.0},
    "health": {"answer_s": 0.5},
    "smoke": {"answer_s": 0.8, "reply_within_s": 1.5, "settle_s": 0.3},
    "load": {"answer_timeout_s": 1.5},
}
# Plugins that the suite does not need take most of its start.
WITHOUT = ("-p", "no:hypothesispytest", "-p", "no:locust", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Run:
    """How one run of the suite ended."""

    exit_code: int
    output: str
    report: Report

    def check(self, name: str) -> Check:
        """The check of that name."""
        return next(check for check in self.report.checks if check.name == name)

    @property
    def not_passed(self) -> list[str]:
        """The names of the checks that did not pass, without the one for those that were not run."""
        return [check.name for check in self.report.not_passed if check.name != "not run"]


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's targets with limits short enough for a test."""
    document = tomlkit.parse(TARGETS_FILE.read_text())
    for section, values in LIMITS.items():
        document[section].update(values)  # type: ignore[union-attr]
    path = tmp_path_factory.mktemp("limits") / "targets.toml"
    path.write_text(tomlkit.dumps(document))
    return path


def pytest_smoke(*arguments: str | Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `pytest smoke` as an operator does, in an environment of its own."""
    command = [sys.executable, "-m", "pytest", "smoke", *WITHOUT, *map(str, arguments)]
    # A proxy that does not exist: the target on this machine must be asked without it.
    environment = {"PATH": os.environ["PATH"], "HTTP_PROXY": "http://127.0.0.1:9", **env}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def smoke(url: str, limits: Path, folder: Path, *arguments: str) -> Run:
    """Run the suite against *url* and read its report."""
    report = folder / "report.json"
    done = pytest_smoke(
        "--base-url",
        url,
        "--targets",
        limits,
        "--report",
        report,
        *arguments,
        env={"WAHA_WEBHOOK_SECRET": SECRET},
    )
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Run(done.returncode, output, Report.model_validate_json(report.read_text()))


def test_a_right_target_passes(limits: Path, tmp_path: Path) -> None:
    """Nothing is refused at a target that does everything right, though it takes a few probes to be ready."""
    with running(Flaws(ready_after_probes=1)) as url:
        run = smoke(url, limits, tmp_path)
    assert (run.exit_code, run.report.verdict, run.not_passed) == (0, Verdict.PASS, []), run.output
    assert run.check("ready").samples == 2
    assert all(check.samples > 0 and check.limit is not None for check in run.report.checks)
    assert len(run.report.checks) == len({check.name for check in run.report.checks}) >= 25


def test_the_sent_texts_may_stand_for_the_gate_lane(limits: Path, tmp_path: Path) -> None:
    """With --replies-url the suite passes at a public frontend, which has no gate lane."""
    with running(Flaws(has_no_gate_lane=True)) as url:
        run = smoke(url, limits, tmp_path, "--replies-url", f"{url}/waha/sent")
    assert (run.exit_code, run.not_passed) == (0, []), run.output


ANSWERED = "signed message is answered once"
REFUSED = "nothing refused or ignored was answered"
WRONG: dict[str, tuple[Flaws, set[str]]] = {
    "any signature": (
        Flaws(accepts_any_signature=True),
        {
            f"forged signature is refused [{forgery}]"
            for forgery in (
                "unsigned",
                "of another secret",
                "truncated",
                "over other bytes",
                "not hexadecimal",
                "not ASCII",
                "empty",
            )
        }
        | {REFUSED},
    ),
    "500 on an odd signature": (
        Flaws(fails_on_odd_signatures=True),
        {f"forged signature is refused [{forgery}]" for forgery in ("not hexadecimal", "not ASCII")},
    ),
    "500 on malformed bodies": (
        Flaws(fails_on_malformed=True),
        {
            f"malformed body is refused [{body}]"
            for body in ("cut off", "not UTF-8", "not an object", "too deep")
        },
    ),
    "a body without bound": (
        Flaws(takes_any_size=True),
        {f"oversized body is refused [{framing}]" for framing in ("with its length", "chunked")} | {REFUSED},
    ),
    "oversized gets a 500": (
        Flaws(drops_oversized_unanswered=True),
        {f"oversized body is refused [{framing}]" for framing in ("with its length", "chunked")},
    ),
    "sha512 only": (Flaws(takes_only_sha512=True), {f"{ANSWERED} [sha256]"}),
    "never answers": (Flaws(never_answers=True), {f"{ANSWERED} [sha512]"}),
    "a late second reply": (Flaws(answers_again_late=True), {"no message has a second reply"}),
    "whole ids": (
        Flaws(knows_messages_by_whole_id=True),
        {"duplicate under the hidden chat id is not answered again", "no message has a second reply"},
    ),
    "forgets duplicates": (
        Flaws(forgets_duplicates=True),
        {
            "retried webhook is not answered again",
            "duplicate is not answered again [another event id]",
            "duplicate is not answered again [also as message.any]",
            "duplicate under the hidden chat id is not answered again",
            "no message has a second reply",
        },
    ),
    "answers every event": (
        Flaws(answers_every_event=True),
        {"session status is accepted and unanswered", "own message is accepted and unanswered", REFUSED},
    ),
    "refuses what it ignores": (
        Flaws(refuses_ignored=True),
        {"session status is accepted and unanswered", "own message is accepted and unanswered"},
    ),
    "late answers": (Flaws(webhook_takes_s=1.0), {"webhook answers in time"}),
    "incomplete health": (Flaws(lacks_a_service=True), {"health is healthy and complete"}),
    "degraded": (Flaws(is_degraded=True), {"health is healthy and complete"}),
    "slow health": (Flaws(health_takes_s=0.6), {"health answers in time"}),
    "no metrics": (Flaws(has_no_metrics=True), {"metrics are there"}),
}


@pytest.mark.parametrize(("flaws", "refusing"), WRONG.values(), ids=WRONG)
def test_a_wrong_target_is_refused_by_the_check_meant_for_it(
    limits: Path, tmp_path: Path, flaws: Flaws, refusing: set[str]
) -> None:
    """Exactly the checks meant for a flaw refuse it, each with value, limit, samples and a line."""
    with running(flaws) as url:
        run = smoke(url, limits, tmp_path)
    assert (run.exit_code, run.report.verdict) == (1, Verdict.FAIL)
    assert set(run.not_passed) == refusing, run.output
    for name in refusing:
        check = run.check(name)
        assert (check.limit is not None, check.samples > 0) == (True, True)
        assert str(check) in run.output
    assert "Traceback" not in run.output


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


def test_what_is_not_run_is_said(limits: Path, tmp_path: Path) -> None:
    """A target that is never ready stops the run: the report has the probes made, and what was not run."""
    with running(Flaws(never_ready=True)) as url:
        run = smoke(url, limits, tmp_path)
    ready, rest = run.report.checks
    assert (ready.verdict, ready.limit, ready.unit) == (Verdict.FAIL, 1.0, "s")
    assert ready.samples >= 2
    assert "503" in ready.detail
    assert (run.exit_code, str(ready) in run.output, "Traceback" in run.output) == (1, True, False)
    assert (rest.name, rest.verdict, rest.samples) == ("not run", Verdict.NO_EVIDENCE, 0)
    assert "the release never became ready" in rest.detail
    assert rest.detail.endswith("and 25 more")


def test_a_target_that_is_not_there_is_a_failed_check(limits: Path, tmp_path: Path) -> None:
    """A refused connection is the reason of a failed check, not a traceback."""
    run = smoke("http://127.0.0.1:9", limits, tmp_path)
    assert (run.exit_code, run.not_passed) == (1, ["ready"])
    assert "refused" in run.check("ready").detail
    assert "Traceback" not in run.output


def test_a_target_that_stops_answering_is_given_up(limits: Path, tmp_path: Path) -> None:
    """Webhooks that hang fail their checks with the reason; after a few the run ends instead of waiting."""
    with running(Flaws(hangs_on_webhooks=True)) as url:
        run = smoke(url, limits, tmp_path)
    assert (run.exit_code, len(run.not_passed)) == (1, 3)
    assert run.check("forged signature is refused [unsigned]").detail.endswith("no answer within 1.5 s")
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
    assert (run.report.verdict, run.report.checks) == (Verdict.NO_EVIDENCE, [])
    assert run.exit_code != 0


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (["--base-url", "http://127.0.0.1:9"], {}, "WAHA_WEBHOOK_SECRET"),
        (["--base-url", "http://127.0.0.1:9"], {"WAHA_WEBHOOK_SECRET_FILE": "/nowhere"}, "/nowhere"),
        ([], {"WAHA_WEBHOOK_SECRET": SECRET}, "--base-url"),
        (["--base-url", "localhost:80"], {"WAHA_WEBHOOK_SECRET": SECRET}, "localhost:80"),
        (
            ["--base-url", "http://127.0.0.1:9", "--targets", "/nowhere.toml"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "nowhere.toml",
        ),
        (
            ["--base-url", "http://127.0.0.1:9", "--report", "/nowhere/report.json"],
            {"WAHA_WEBHOOK_SECRET": SECRET},
            "/nowhere/report.json",
        ),
    ],
    ids=["no secret", "no secret file", "no base url", "no scheme", "no targets", "no report folder"],
)
def test_a_wrong_call_is_one_clear_usage_error(arguments: list[str], env: dict[str, str], named: str) -> None:
    """What is missing or wrong in the call is named, with pytest's exit code for it, and nothing is tried."""
    done = pytest_smoke(*arguments, env=env)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert named in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
