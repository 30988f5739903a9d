"""The pytest plugin that makes one check of each test, and the report of all checks."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from contracts.verdict import Check, Report, Verdict
from smoke.evidence import Measured, conclude, not_run
from smoke.options import Options
from smoke.target import NoAnswerError

ORDER = ("test_ready", "test_health", "test_refusals", "test_replies", "test_settled")
"""The suite's files as they run: first whether there is anything to check, last what takes a moment."""

MAX_UNANSWERED = 3
"""Tests that may end without an answer before the run is given up: the others would only wait as long."""

MEASURED = pytest.StashKey[Measured]()


class Recorder:
    """Collects the checks of one run, writes the report and shows what did not pass."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._started = time.monotonic()
        self._names: dict[str, str] = {}
        self._checks: dict[str, Check] = {}
        self._unanswered = 0
        self._report: Report | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the files, and give every test its record."""
        items.sort(key=lambda item: ORDER.index(item.path.stem))
        for item in items:
            item.stash[MEASURED] = Measured(check_name(item.name))
            self._names[item.nodeid] = item.stash[MEASURED].name

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Fail a test that ran to its end and recorded nothing."""
        result = yield
        if pyfuncitem.stash[MEASURED].check is None:
            pytest.fail("the test recorded nothing", pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make the check when the test has ended, or when its set-up or clean-up failed."""
        outcome = yield
        if call.when == "call" or call.excinfo is not None:
            problem = _reason(call.excinfo.value) if call.excinfo else None
            self._checks[item.nodeid] = conclude(item.stash[MEASURED], problem)
        if call.excinfo is not None and isinstance(call.excinfo.value, NoAnswerError):
            self._count_unanswered(item.session)
        return outcome

    def _count_unanswered(self, session: pytest.Session) -> None:
        self._unanswered += 1
        if self._unanswered >= MAX_UNANSWERED:
            session.shouldfail = f"{self._unanswered} requests were not answered"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; anything but a pass makes the exit code non-zero."""
        missing = [name for nodeid, name in self._names.items() if nodeid not in self._checks]
        checks = list(self._checks.values())
        if missing:
            checks.append(not_run(missing, str(session.shouldfail or session.shouldstop or "interrupted")))
        self._report = Report.of("smoke", checks, round(time.monotonic() - self._started, 3))
        if self._options.report:
            self._options.report.write_text(self._report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if session.exitstatus == pytest.ExitCode.OK and self._report.verdict is not Verdict.PASS:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line for the whole, one for each check that did not pass."""
        if self._report is None:
            return
        failed = len(self._report.not_passed)
        terminalreporter.section(f"smoke: {self._report.verdict}")
        terminalreporter.write_line(
            f"{self._options.base_url}: {len(self._report.checks)} checks, {failed} not passed, "
            f"{self._report.duration_s:.1f} s"
        )
        for check in self._report.not_passed:
            terminalreporter.write_line(str(check), red=True)


def check_name(test_name: str) -> str:
    """A test's name as words: `test_live_answers` is `live answers`; a parameter stays in brackets."""
    name, bracket, parameter = test_name.removeprefix("test_").partition("[")
    return name.replace("_", " ") + (f" {bracket}{parameter}" if bracket else "")


def _reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = " ".join(str(error).split()) or "no reason given"
    ours = type(error).__module__.startswith("smoke.") or isinstance(error, pytest.fail.Exception)
    return text if ours else f"{type(error).__name__}: {text}"
