from __future__ import annotations

import pytest

from runbook.errors import RunbookError
from runbook.verbs.test import run_steps

STEPS = {"lint": ["ruff", "check"], "types": ["mypy"], "tests": ["pytest"]}


def test_the_last_line_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step by name, passed or failed, with how long it took; a failure does not end the others."""
    codes = iter([0, 2, 0])
    ticks = iter([0.0, 1.5, 2.0, 62.0, 70.0, 70.1])
    with pytest.raises(RunbookError, match=r"not as it should be: types\n"):
        run_steps(STEPS, lambda _name, _command: next(codes), lambda: next(ticks))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "lint passed (1.5 s), types failed (60.0 s), tests passed (0.1 s)"


def test_every_failure_is_named() -> None:
    """So that one look at the end is enough."""
    with pytest.raises(RunbookError, match="lint, types, tests"):
        run_steps(STEPS, lambda _name, _command: 1)


def test_all_passed_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The commands are said as they can be typed."""
    ran: list[list[str]] = []
    run_steps(STEPS, lambda _name, command: bool(ran.append(command)))
    assert ran == list(STEPS.values())
    assert "$ python -m ruff check\n" in capsys.readouterr().err
