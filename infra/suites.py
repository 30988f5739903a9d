"""The smoke and load suites as commands, for the trial of a release and for whoever types a verb."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Literal

Suite = Literal["smoke", "load"]


class Depth(StrEnum):
    """How much a release is tried before it gets traffic."""

    FULL = "full"
    """Smoke, then load: any new release."""
    SMOKE = "smoke"
    """All of smoke, no load: a hotfix."""
    SHORT = "short"
    """A second of smoke: a release that passed before."""

    @property
    def suites(self) -> tuple[Suite, ...]:
        """What is run, in this order."""
        return ("smoke", "load") if self is Depth.FULL else ("smoke",)


def suite_command(suite: Suite, url: str, report: Path, *more: str) -> list[str]:
    """The command line that runs *suite* against *url* and writes its `contracts.verdict.Report` to *report*.

    To be run in the repository, with the secret to sign with in WAHA_WEBHOOK_SECRET.
    """
    if suite == "smoke":
        command = ["-m", "pytest", "smoke", "-q", "-p", "no:cacheprovider", "--base-url", url]
    else:
        command = ["-m", "locust", "-f", "loadtests/locustfile.py", "--host", url]
    return [sys.executable, *command, "--report", str(report), *more]
