"""Runs of the suite as an operator starts them, and what they reported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forking_host import ForkingHost
from reference_target import SECRET

from contracts.verdict import Check, Report, Verdict

ROOT = Path(__file__).resolve().parents[2]


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
    def passed(self) -> list[str]:
        """The names of the checks that passed."""
        return [check.name for check in self.report.checks if check.verdict is Verdict.PASS]

    @property
    def not_passed(self) -> list[str]:
        """The names of the checks that did not pass, without the one for those that were not run."""
        return [check.name for check in self.report.not_passed if check.name != "not run"]


def command(*arguments: str | Path) -> list[str]:
    """`pytest smoke` with *arguments*."""
    return [sys.executable, "-m", "pytest", "smoke", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """A small one, with a proxy that does not exist: a target on this machine is to be asked without."""
    without_plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # loading them takes half of the suite's start
    return {"PATH": os.environ["PATH"], "HTTP_PROXY": "http://127.0.0.1:9", **without_plugins, **more}


_HOST = ForkingHost(Path(__file__).with_name("smoke_host.py"))


def pytest_smoke(*arguments: str | Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `pytest smoke` in a process and an environment of its own."""
    return _HOST.run(["smoke", *map(str, arguments)], environment(**env), ROOT)


def smoke(url: str, limits: Path, folder: Path, *arguments: str, **env: str) -> Run:
    """Run the suite against *url* and read its report."""
    report = folder / "report.json"
    done = pytest_smoke(
        *("--base-url", url, "--targets", limits, "--report", report, *arguments),
        env={"WAHA_WEBHOOK_SECRET": SECRET, **env},
    )
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Run(done.returncode, output, Report.model_validate_json(report.read_text()))
