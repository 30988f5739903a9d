"""The load gate as a process of its own, with short limits."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from load_target import SECRET
from load_targets import write_targets

from contracts.verdict import Check, Report, Verdict

LOCUST = [str(Path(sys.executable).parent / "locust"), "-f", "loadtests/locustfile.py"]
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """How a run of the gate ended; `report` is None where it wrote none."""

    code: int
    output: str
    report: Report | None

    def check(self, name: str) -> Check:
        """The check of this name."""
        assert self.report is not None, self.output
        return next(check for check in self.report.checks if check.name == name)


def start(folder: Path, url: str, *arguments: str, **env: str) -> tuple[subprocess.Popen[str], Path]:
    """Start the gate with short limits; its process and the file of its report."""
    report = folder / "report.json"
    command = [*LOCUST, "--host", url, "--targets", str(write_targets(folder)), "--report", str(report)]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "WAHA_WEBHOOK_SECRET": SECRET, **env},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return process, report


def finish(process: subprocess.Popen[str], report: Path) -> Run:
    """Wait for the gate's end and read its report."""
    output, _ = process.communicate(timeout=40)
    found = Report.model_validate_json(report.read_text()) if report.exists() else None
    return Run(process.returncode, output, found)


def run_gate(folder: Path, url: str, *arguments: str, **env: str) -> Run:
    """Run the gate to its end."""
    return finish(*start(folder, url, *arguments, **env))


def failed(run: Run) -> set[str]:
    """The names of the checks that failed."""
    assert run.report is not None, run.output
    return {check.name for check in run.report.checks if check.verdict is Verdict.FAIL}
