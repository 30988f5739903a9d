"""The pytest plugin that makes one check of each test, and the report of all checks."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from contracts.verdict import Check, Report, Verdict
from smoke.checks import CHECKS, check_name
from smoke.evidence import Measured, conclude, not_run
from smoke.options import Options
from smoke.selection import Selection
from smoke.target import NoAnswerError

MAX_UNANSWERED = 3
"""Tests that may end without an answer before the run is given up: the others would only wait as long."""

MEASURED = pytest.StashKey[Measured]()


class Recorder:
    """Collects the checks of one run, writes the report and shows what did not pass."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._selection = Selection.of(options)
        self._started = time.monotonic()
        self._checks: dict[str, Check] = {}
        self._unanswered = 0
        self._report: Report | None = None

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Do not read a file of which nothing is run: what it imports takes part of a short run's time."""
        tests = CHECKS.get(collection_path.stem)
        return True if tests and not {*tests} & {*self._selection.tests} else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is not to be run, order the files, and give every test its record."""
        unwanted = {test for tests in CHECKS.values() for test in tests} - {*self._selection.tests}
        config.hook.pytest_deselected(items=[item for item in items if item.name in unwanted])
        items[:] = [item for item in items if item.name not in unwanted]
        order = list(CHECKS)
        items.sort(key=lambda item: order.index(item.path.stem))
        for item in items:
            item.stash[MEASURED] = Measured(check_name(item.name))

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Fail a test that ran to its end and recorded nothing, or recorded a failure and swallowed it."""
        result = yield
        check = pyfuncitem.stash[MEASURED].check
        if check is None:
            pytest.fail("the test recorded nothing", pytrace=False)
        if check.verdict is not Verdict.PASS:
            pytest.fail(str(check), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make the check when the test has ended, or when its set-up or clean-up failed."""
        outcome = yield
        if call.when == "call" or call.excinfo is not None:
            problem = _reason(call.excinfo.value) if call.excinfo else None
            self._checks[item.name] = conclude(item.stash[MEASURED], problem)
        if call.excinfo is not None and isinstance(call.excinfo.value, NoAnswerError):
            self._count_unanswered(item.session)
        return outcome

    def _count_unanswered(self, session: pytest.Session) -> None:
        self._unanswered += 1
        if self._unanswered >= MAX_UNANSWERED:
            session.shouldfail = f"{self._unanswered} requests were not answered"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; anything but a pass makes the exit code non-zero."""
        report = self.write_report(_why_not_all(session))
        if session.exitstatus == pytest.ExitCode.OK and report.verdict is not Verdict.PASS:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def write_report(self, why_not_all: str) -> Report:
        """Write what was found to every file; what is missing is not run, and *why_not_all* says why."""
        missing = [check_name(test) for test in self._selection.tests if test not in self._checks]
        checks = list(self._checks.values())
        if missing:
            checks.append(not_run(missing, why_not_all))
        duration_s = round(time.monotonic() - self._started, 3)
        report = Report.of(self._options.suite, checks, duration_s, self._selection.left_out)
        for file in self._options.reports:
            file.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self._report = report
        return report

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line for the whole, for each check that did not pass or has a note, for what was left out."""
        if self._report is None:
            return
        report, failed = self._report, self._report.not_passed
        terminalreporter.section(f"{report.suite}: {report.verdict}")
        terminalreporter.write_line(
            f"{self._options.base_url}: {len(report.checks)} checks, {len(failed)} not passed, "
            f"{report.duration_s:.1f} s"
        )
        for check in failed:
            terminalreporter.write_line(str(check), red=True)
        for check in report.checks:
            if check.verdict is Verdict.PASS and check.detail:
                terminalreporter.write_line(str(check))
        for reason in report.left_out:
            terminalreporter.write_line(f"left out: {reason}")


def _why_not_all(session: pytest.Session) -> str:
    """Why checks were not run, if any were not."""
    if stopped := session.shouldfail or session.shouldstop:
        return str(stopped)
    if session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return "interrupted"
    return "pytest's options, variables (PYTEST_ADDOPTS) or plugins left them out"


def _reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = " ".join(str(error).split()) or "no reason given"
    ours = type(error).__module__.startswith("smoke.") or isinstance(error, pytest.fail.Exception)
    return text if ours else f"{type(error).__name__}: {text}"
