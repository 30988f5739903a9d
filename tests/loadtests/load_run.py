"""The load gate as a process of its own, with short limits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forking_host import ForkingHost
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


def _command(folder: Path, url: str) -> tuple[list[str], Path]:
    report = folder / "report.json"
    return [*LOCUST, "--host", url, "--targets", str(write_targets(folder)), "--report", str(report)], report


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "WAHA_WEBHOOK_SECRET": SECRET, **more}


def start(folder: Path, url: str, *arguments: str, **env: str) -> tuple[subprocess.Popen[str], Path]:
    """Start the gate with short limits; its process and the file of its report."""
    command, report = _command(folder, url)
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=CHECKOUT,
        env=_environment(env),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return process, report


def finish(process: subprocess.Popen[str], report: Path) -> Run:
    """Wait for the gate's end and read its report."""
    output, _ = process.communicate(timeout=240)
    found = Report.model_validate_json(report.read_text()) if report.exists() else None
    return Run(process.returncode, output, found)


_HOST = ForkingHost(Path(__file__).with_name("load_host.py"))


def run_gate_alone(folder: Path, url: str, *arguments: str, **env: str) -> Run:
    """Run the gate to its end, from its very start: for what Locust does, or reads, while it is loaded."""
    return finish(*start(folder, url, *arguments, **env))


def run_gate(folder: Path, url: str, *arguments: str, **env: str) -> Run:
    """Run the gate to its end."""
    command, report = _command(folder, url)
    done = _HOST.run([*command[1:], *arguments], _environment(env), CHECKOUT)
    found = Report.model_validate_json(report.read_text()) if report.exists() else None
    return Run(done.returncode, done.stdout + done.stderr, found)


def failed(run: Run) -> set[str]:
    """The names of the checks that failed."""
    assert run.report is not None, run.output
    return {check.name for check in run.report.checks if check.verdict is Verdict.FAIL}
