"""One suite's run: a subprocess (Locust patches its process), its report, and whether to believe it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from contracts.verdict import Report
from infra.manifest import REPOSITORY


@dataclass(frozen=True)
class Found:
    """What a suite found: its report, if there is one, and the lines that refuse the release, if it does."""

    report: Report | None
    refusal: list[str]


def run_suite(
    suite: str,
    release: str,
    command: Sequence[str],
    report_file: Path,
    env: Mapping[str, str],
    within_s: float,
) -> Found:
    """Run *command*, which writes *report_file*; its output goes beside it, as `SUITE.log`.

    One that has not ended *within_s* is ended.
    """
    log = report_file.with_suffix(".log")
    report_file.unlink(missing_ok=True)
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                cwd=REPOSITORY,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=within_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            why = f"did not end within {within_s:g} s ([gate] within_s of targets.toml)"
            return Found(None, [f"gate: {suite} on {release} {why}; see {log}"])
    return judge(suite, release, code, report_file)


def judge(suite: str, release: str, code: int, report_file: Path) -> Found:
    """Only a report and an exit code that both say "pass" are a pass."""
    log = report_file.with_suffix(".log")
    try:
        report = Report.model_validate_json(report_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        why = f"gate: {suite} on {release} gave no report (exit code {code}); its output is in {log}"
        return Found(None, [why])
    if report.not_passed or report.verdict != "pass" or code != 0:
        return Found(report, refusal_lines(report, release, [f"  exit code {code}"], f"  log: {log}"))
    return Found(report, [])


def refusal_lines(report: Report, release: str, otherwise: Sequence[str] = (), *more: str) -> list[str]:
    """Why *report* refuses *release*: a line for each check that did not pass."""
    lines = [f"  {check}" for check in report.not_passed] or [*otherwise]
    return [f"gate: {report.suite} refused release {release} ({report.verdict}):", *lines, *more]
