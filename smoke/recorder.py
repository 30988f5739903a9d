"""The pytest plugin that makes one check of each test, and the report of all checks."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from contracts.verdict import Check, Report, Verdict
from smoke.evidence import Measured, conclude, not_run
from smoke.options import Options
from smoke.selection import left_out
from smoke.target import NoAnswerError

ORDER = (
    *("test_tls", "test_ready", "test_health", "test_metrics", "test_headers", "test_refusals"),
    *("test_replies", "test_kinds", "test_unanswered", "test_logs", "test_settled", "test_truth"),
)
"""The suite's files as they run.

First whether there is anything to check, then what takes a moment, and at last what disturbs the release.
"""

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
        self._left_out: list[str] = []
        self._unanswered = 0
        self._report: Report | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is not to be run, order the files, and give every test its record."""
        reasons = {item: left_out(item, self._options) for item in items}
        self._left_out = list(dict.fromkeys(reason for reason in reasons.values() if reason))
        config.hook.pytest_deselected(items=[item for item in items if reasons[item]])
        items[:] = [item for item in items if not reasons[item]]
        items.sort(key=lambda item: ORDER.index(item.path.stem))
        for item in items:
            item.stash[MEASURED] = Measured(check_name(item.name))
            self._names[item.nodeid] = item.stash[MEASURED].name

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
        duration_s = round(time.monotonic() - self._started, 3)
        self._report = Report.of(self._options.suite, checks, duration_s, self._left_out)
        for file in self._options.reports:
            file.write_text(self._report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if session.exitstatus == pytest.ExitCode.OK and self._report.verdict is not Verdict.PASS:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line for the whole, one for each check that did not pass, one for each that was left out."""
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
        for reason in report.left_out:
            terminalreporter.write_line(f"left out: {reason}")


def check_name(test_name: str) -> str:
    """A test's name as words, with its parameter in brackets: `test_live_answers` is `live answers`.

    After "of" the parameter is a word of its own: `test_health_of[redis]` is `health of redis`.
    """
    name, _, parameter = test_name.removeprefix("test_").removesuffix("]").partition("[")
    words = name.replace("_", " ")
    if not parameter:
        return words
    return f"{words} {parameter}" if words.endswith(" of") else f"{words} [{parameter}]"


def _reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = " ".join(str(error).split()) or "no reason given"
    ours = type(error).__module__.startswith("smoke.") or isinstance(error, pytest.fail.Exception)
    return text if ours else f"{type(error).__name__}: {text}"
