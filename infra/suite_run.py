"""One suite's run: a subprocess (Locust patches its process), its report, and whether to believe it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from contracts.verdict import Report
from infra.errors import Refused
from infra.suite_environment import suite_environment

_POLL_INTERVAL_S = 0.5
_GRACE_S = 5.0

_END_WITH_US = 'read -r _; kill -s INT "$1"; sleep "$2"; kill -s KILL -- "-$1"'
"""Waits for the end of its input, which comes with ours however we end, and ends the suite as we would."""


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
    stop_requested: Callable[[], bool] = lambda: False,
    prepare: Callable[[], object] | None = None,
) -> Found:
    """Run *command*, which writes *report_file*; its output goes beside it, as `SUITE.log`.

    Its environment is that of every suite, and *env*. One that has not ended *within_s* is ended, as is one
    that somebody wants to stop. *prepare* is called while a suite starts that waits for a line on its input
    (smoke's `--begin-on-input`).

    Raises:
        Refused: somebody wanted to stop.
    """
    log = report_file.with_suffix(".log")
    report_file.unlink(missing_ok=True)
    with log.open("wb") as output, suite_environment(env) as environment:
        process = subprocess.Popen(
            command,
            cwd=environment.folder,
            env=environment.variables,
            stdin=subprocess.PIPE if prepare else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it starts ends with it
        )
        with _killed_after(process), _ended_with_us(process), _interrupted_after(process):
            if prepare and process.stdin:
                prepare()
                with suppress(BrokenPipeError):  # it has ended already, and gives no report
                    process.stdin.write(b"\n")
                    process.stdin.flush()
            why_ended = _wait(process, release, within_s, stop_requested)
    if why_ended:
        return Found(None, [f"gate: {suite} on {release} {why_ended}; see {log}"])
    return judge(suite, release, process.returncode, report_file)


def _wait(
    process: subprocess.Popen[bytes], release: str, within_s: float, stop_requested: Callable[[], bool]
) -> str:
    """Wait for the end of *process*; why it was ended, empty where it ended by itself."""
    deadline = time.monotonic() + within_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_INTERVAL_S)
            return ""
        if stop_requested():
            raise Refused(f"gate: asked to stop; {release} was not judged")
        if time.monotonic() >= deadline:
            return f"did not end within {within_s:g} s ([gate] within_s of targets.toml)"


@contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Where we are killed meanwhile, *process* ends too: it would go on to load what is live.

    In a session of its own, so that what ends our process group does not end the one who sees to that. Not by
    a signal at our death: the kernel sends it when the thread has ended that started the suite.
    """
    command = ["sh", "-c", _END_WITH_US, "end-with-us", str(process.pid), str(_GRACE_S)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # ours is read to its end by whoever started us
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as guard:
        try:
            yield
        finally:
            guard.kill()


@contextmanager
def _interrupted_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """In the end *process* has some time to end, as by Ctrl-C, and to take back what it disturbed."""
    try:
        yield
    finally:
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(_GRACE_S)


@contextmanager
def _killed_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """In the end *process* and what it has started end, whatever they do; at once if we are told again."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
