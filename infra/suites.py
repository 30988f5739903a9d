"""The smoke and load suites as commands, for the trial of a release and for whoever types a verb."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Literal

from infra.manifest import REPOSITORY

SMOKE = REPOSITORY / "smoke"
LOCUSTFILE = REPOSITORY / "loadtests" / "locustfile.py"

Suite = Literal["smoke", "load"]


class Depth(StrEnum):
    """How much a release is tried before it gets traffic."""

    FULL = "full"
    """Smoke, then load: any new release."""
    SMOKE = "smoke"
    """All of smoke, no load: a hotfix."""
    SHORT = "short"
    """A second of smoke: a release that passed before."""
    NONE = "none"
    """Nothing: a release that is brought back by force, or has the traffic already."""

    @property
    def suites(self) -> tuple[Suite, ...]:
        """What is run, in this order."""
        if self is Depth.NONE:
            return ()
        return ("smoke", "load") if self is Depth.FULL else ("smoke",)

    def covers(self, other: Depth) -> bool:
        """Whether what passed this gate need not be put through *other*."""
        order = list(Depth)
        return order.index(self) <= order.index(other)


def suite_command(suite: Suite, url: str, report: Path, *more: str) -> list[str]:
    """The command line that runs *suite* against *url* and writes its `contracts.verdict.Report` to *report*.

    To be run in a `suite_environment`, with the secret to sign with in WAHA_WEBHOOK_SECRET.
    """
    if suite == "smoke":
        # Named, the suite's own settings are not looked for: no other file can come before them.
        settings = ["--config-file", str(SMOKE / "pytest.ini"), "--rootdir", str(SMOKE)]
        command = ["-m", "pytest", str(SMOKE), *settings, "-q", "--base-url", url]
    else:
        command = ["-m", "locust", "-f", str(LOCUSTFILE), "--host", url]
    return [sys.executable, *command, "--report", str(report), *more]
