"""`Gate`: no release gets traffic before the smoke and load suites have passed on its candidate.

A gate that raises is not in the state, so the next update runs it again; the live route, which depends on
it, is not touched.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from contracts.verdict import Report
from infra.errors import Refused
from infra.manifest import REPOSITORY
from infra.suites import SUITES, Suite, suite_command

_TIMEOUT_S = 300


class GateProvider(ResourceProvider):
    """Runs the suites as subprocesses (Locust patches the process it is in) and judges their reports."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run smoke, then load; raise at the first that does not pass.

        Raises:
            Refused: a line for each check that did not pass, with value, limit and sample size.
        """
        reports = Path(props["reports"])
        reports.mkdir(parents=True, exist_ok=True)
        figures = [run_suite(suite, props, reports) for suite in SUITES]
        return CreateResult(
            f"gate-{props['release']}",
            {"release": props["release"], "reports": props["reports"], "figures": figures},
        )

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never: what a release consists of is in its id, and each id has a gate of its own."""
        return DiffResult(changes=False)


class Gate(Resource):
    """The evidence on one release: `figures` are the suites' reports."""

    figures: pulumi.Output[list[dict[str, Any]]]

    def __init__(
        self,
        *,
        release: str,
        candidate_url: str,
        webhook_secret: pulumi.Input[str],
        reports: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "release": release,
            "candidate_url": candidate_url,
            "webhook_secret": pulumi.Output.secret(webhook_secret),
            "reports": str(reports),
            "figures": None,
        }
        super().__init__(GateProvider(), f"gate-{release}", inputs, opts)


def run_suite(suite: Suite, props: dict[str, Any], reports: Path) -> dict[str, Any]:
    """Run one suite against the candidate and return its report, which says that it passed.

    Raises:
        Refused: it did not pass, or there is no report to say that it did.
    """
    report_file, log = reports / f"{suite}.json", reports / f"{suite}.log"
    report_file.unlink(missing_ok=True)
    pulumi.log.info(f"gate: {suite} on {props['release']} at {props['candidate_url']}")
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                suite_command(suite, props["candidate_url"], report_file),
                cwd=REPOSITORY,
                env={**os.environ, "WAHA_WEBHOOK_SECRET": props["webhook_secret"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Refused(
                f"gate: {suite} did not end within {_TIMEOUT_S} s; its output is in {log}"
            ) from error
    return judge(suite, props["release"], done.returncode, report_file, log)


def judge(suite: Suite, release: str, code: int, report_file: Path, log: Path) -> dict[str, Any]:
    """The report as plain data, if both it and the exit code say "pass"."""
    if not report_file.is_file():
        raise Refused(f"gate: {suite} on {release} gave no report (exit code {code}); its output is in {log}")
    report = Report.model_validate_json(report_file.read_bytes())
    if report.not_passed or report.verdict != "pass" or code != 0:
        lines = [f"  {check}" for check in report.not_passed] or [f"  exit code {code}, see {log}"]
        raise Refused(
            "\n".join(
                [f"gate: {suite} refused release {release} ({report.verdict}):", *lines, f"  log: {log}"]
            )
        )
    data: dict[str, Any] = json.loads(report.model_dump_json())
    return data
