"""A gate made instant, for tests that drive many real deployments: it refuses a release when it is told to.

The second of smoke before a rollback stays what it is.

It keeps a log of what it was asked of, which no part of the runbook writes: so a test knows for sure which
releases have passed.
"""

from __future__ import annotations

import json
from pathlib import Path

from project import Project

_SUITE = """

_command = suite_command

def suite_command(suite: Suite, url: str, report: Path, *more: str) -> list[str]:
    if "--short" in more:
        return _command(suite, url, report, *more)
    return [sys.executable, str(REPOSITORY / "instant_suite.py"), suite, url, str(report), *more]
"""
_PROGRAM = """
import json, pathlib, sys, time, urllib.request
sys.path.insert(0, {root!r})
from contracts.verdict import Check, Report, Verdict

suite, url, report, *_ = sys.argv[1:]
deadline, release = time.monotonic() + 240, ""
while not release and time.monotonic() < deadline:
    try:
        with urllib.request.urlopen(url + "/api/health/ready", timeout=10) as answer:
            release = answer.headers["X-Release"] if answer.status == 200 else ""
    except OSError:
        time.sleep(0.1)
time.sleep(0.5)  # the containers are looked at each second, and memory's growth needs two looks
passed = bool(release) and not pathlib.Path({folder!r}, "refuses").exists()
check = Check(name="instant", verdict=Verdict.PASS if passed else Verdict.FAIL, value=release, samples=1)
pathlib.Path(report).write_text(Report.of(suite, [check], 0.1).model_dump_json())
with pathlib.Path({folder!r}, "log").open("a") as log:
    log.write(json.dumps({{"suite": suite, "release": release, "passed": passed}}) + "\\n")
sys.exit(not passed)
"""
_QUICK = {
    'scenarios = ["steady", "burst"]': 'scenarios = ["steady"]',
    "steps = [5, 25, 100]": "steps = [50, 100]",
    "step_s = 2 ": "step_s = 0 ",
    "memory_window_s = 4 ": "memory_window_s = 0.1 ",
    "memory_mb_per_s = 10 ": "memory_mb_per_s = 100000 ",
    # The machine may be slow, and share its cores: how fast a release answers is not asked here.
    "answer_s = 3 ": "answer_s = 60 ",
    "reply_within_s = 15      # from": "reply_within_s = 120      # from",
    "mean_ms = 250 ": "mean_ms = 60000 ",
    "slowest_ms = 3000        # ...": "slowest_ms = 60000       # ...",
    "after_up_s = 60": "after_up_s = 0",
    "after_hotfix_s = 900": "after_hotfix_s = 0",
}


class InstantGate:
    """The gate of one project; `folder` lies outside of its checkout."""

    def __init__(self, project: Project, folder: Path) -> None:
        self._folder = folder
        root = project.root
        project.append("infra/suites.py", _SUITE)
        (root / "instant_suite.py").write_text(_PROGRAM.format(root=str(root), folder=str(folder)))
        project.change("targets.toml", _QUICK)

    def refuse(self, yes: bool) -> None:
        """Whether it refuses what comes from now on."""
        file = self._folder / "refuses"
        file.touch() if yes else file.unlink(missing_ok=True)

    def passed(self) -> set[str]:
        """The releases that have passed it, at least once."""
        file = self._folder / "log"
        runs = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return {run["release"] for run in runs if run["passed"]}
