"""The smoke and load suites as subprocesses, against a stack or any URL."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

from contracts.verdict import Report, Verdict
from infra.manifest import REPOSITORY
from infra.suites import Suite, suite_command
from runbook.console import print_json
from runbook.errors import RunbookError
from runbook.workspace import Workspace, open_workspace


def target_of(stack: str, url: str | None) -> tuple[str, str]:
    """The URL to test and the secret to sign with; a stack's candidate frontend where *url* is not given.

    The candidate frontend keeps every message in the release's gate lane: nobody is messaged.

    Raises:
        RunbookError: no stack, or no secret.
    """
    given = os.environ.get("WAHA_WEBHOOK_SECRET")
    if url and given:
        return url, given
    workspace = open_workspace(stack)
    secret = given or webhook_secret(workspace)
    return url or str(workspace.outputs()["candidate_url"]), secret


def webhook_secret(workspace: Workspace) -> str:
    """The secret that the stack's webhooks are signed with."""
    secret = workspace.secrets()["current"].get("WAHA_WEBHOOK_SECRET")
    if not secret:
        raise RunbookError(
            f"stack {workspace.stack} has no WAHA_WEBHOOK_SECRET",
            "`bin/runbook secrets set WAHA_WEBHOOK_SECRET`",
        )
    return secret


def run(suite: Suite, url: str, secret: str, *more: str, as_json: bool) -> None:
    """Run a suite against *url*; show its report and exit 1 unless it passed.

    Raises:
        RunbookError: the suite ended without a report.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        done = subprocess.run(
            suite_command(suite, url, file, *more),
            cwd=REPOSITORY,
            env={**os.environ, "WAHA_WEBHOOK_SECRET": secret},
            stdout=sys.stderr,  # the suite's own words are progress; the report is the result
            check=False,
        )
        if not file.is_file():
            raise RunbookError(
                f"the suite gave no report (exit code {done.returncode})", "its output is above"
            )
        report = Report.model_validate_json(file.read_bytes())
    if as_json:
        print_json(report.model_dump(mode="json"))
    if report.verdict is not Verdict.PASS or done.returncode != 0:
        raise typer.Exit(1)
