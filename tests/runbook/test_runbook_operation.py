from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_events import diagnostic
from pulumi.automation import EngineEvent

from runbook.operation import OperationFailed, error_in, run_operation

Pulumi = Callable[[str], list[str]]

PREFACE = """
import json, os, sys
log = open(sys.argv[sys.argv.index("--event-log") + 1], "ab", buffering=0)
def tell(*numbers):
    for number in numbers:
        log.write(json.dumps({"sequence": number}).encode() + b"\\n")
"""


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    """A CLI that does what the test says; `tell(1, 2)` writes events of those numbers to its log."""

    def make(script: str) -> list[str]:
        file = tmp_path / "pulumi.py"
        file.write_text(PREFACE + script)
        return [sys.executable, str(file), "up", "--yes"]

    return make


def run(command: list[str], folder: Path) -> list[int]:
    """The numbers of the events, as they were handed on."""
    numbers: list[int] = []
    run_operation(command, folder, {}, lambda event: numbers.append(event.sequence or 0))
    return numbers


def test_events_come_in_order_and_all_of_them(pulumi: Pulumi, tmp_path: Path) -> None:
    """Also those that are written just before the CLI ends."""
    assert run(pulumi("tell(*range(1, 2001))"), tmp_path) == list(range(1, 2001))


def test_events_come_while_it_runs(pulumi: Pulumi, tmp_path: Path) -> None:
    """The CLI here goes on only once its first event has been taken."""
    command = pulumi("import signal; signal.alarm(120)\ntell(1)\nopen('fifo').read()\ntell(2)")
    os.mkfifo(tmp_path / "fifo")
    numbers: list[int] = []

    def take(event: EngineEvent) -> None:
        numbers.append(event.sequence or 0)
        if numbers == [1]:
            (tmp_path / "fifo").write_text("go on")

    run_operation(command, tmp_path, {}, take)
    assert numbers == [1, 2]


def test_a_line_may_come_in_pieces(pulumi: Pulumi, tmp_path: Path) -> None:
    """A line is read when it is whole, although a piece of it may end inside a character."""
    line = json.dumps(diagnostic("info", "grün"), ensure_ascii=False).encode() + b"\n"
    cut = line.index("ü".encode()) + 1
    texts: list[str] = []
    script = f"""
import time
log.write({line[:cut]!r})
time.sleep(0.2)  # so that the piece is read by itself
log.write({line[cut:]!r})
"""
    run_operation(pulumi(script), tmp_path, {}, lambda event: texts.append(event.diagnostic_event.message))
    assert "grün" in texts[0]


def test_a_line_that_was_not_finished_is_no_event(pulumi: Pulumi, tmp_path: Path) -> None:
    """A CLI that was killed while writing leaves half a line, which says nothing."""
    assert run(pulumi("tell(1)\nlog.write(b'{\"sequence\": 2')"), tmp_path) == [1]


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'{"resourcePreEvent": {"metadata": {"op": "step-of-2030", "urn": "urn:x"}}}',
    ],
)
def test_an_event_of_another_version_is_passed_by(pulumi: Pulumi, tmp_path: Path, line: bytes) -> None:
    """What this SDK does not know stops neither the update nor the events after it."""
    assert run(pulumi(f"tell(1)\nlog.write({line!r} + b'\\n')\ntell(2)"), tmp_path) == [1, 2]


def test_a_failure_has_the_clis_words(pulumi: Pulumi, tmp_path: Path) -> None:
    """Each error once, without the frame; its other output is not part of it."""
    script = "print('Updating'); print('error: no such stack', file=sys.stderr)\n" * 2 + "sys.exit(255)"
    with pytest.raises(OperationFailed) as failure:
        run(pulumi(script), tmp_path)
    assert str(failure.value) == "no such stack"


def test_a_silent_failure_has_the_exit_code(pulumi: Pulumi, tmp_path: Path) -> None:
    """A CLI that was killed says nothing itself."""
    with pytest.raises(OperationFailed, match="-9"):
        run(pulumi("os.kill(os.getpid(), 9)"), tmp_path)


def test_much_output_does_not_block(pulumi: Pulumi, tmp_path: Path) -> None:
    """Nobody reads what the CLI prints while it runs: more than a pipe holds must not stop it."""
    assert run(pulumi("print('x' * 1_000_000)\ntell(1)"), tmp_path) == [1]


def test_a_listener_that_fails_is_heard(pulumi: Pulumi, tmp_path: Path) -> None:
    """A mistake in our own display is not lost in a thread."""

    def fail(_event: EngineEvent) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_operation(pulumi("tell(1)"), tmp_path, {}, fail)


def test_the_cli_is_told_to_keep_a_log(pulumi: Pulumi, tmp_path: Path) -> None:
    """The event log is a hidden option; the environment that shows it is set, and ours is kept."""
    command = pulumi("assert os.environ['PULUMI_DEBUG_COMMANDS'] and os.environ['MORE'] == 'yes'")
    run_operation(command, tmp_path, {"MORE": "yes"}, lambda _event: None)


def test_text_without_an_error_is_told_whole() -> None:
    """Where no line is marked as the error, all of it may be."""
    assert error_in("\nsomething odd\n") == "something odd"
