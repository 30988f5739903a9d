from __future__ import annotations

import io

import pytest
from fake_service import exit_code
from fake_workspace import stack_with

from runbook.verbs import secret_rotation
from runbook.verbs.secret_rotation import begin

NAME, PREVIOUS = "WAHA_WEBHOOK_SECRET", "WAHA_WEBHOOK_SECRET_PREVIOUS"
OLD, NEW = "hunter2", "hunter3"


def test_what_follows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which it is done; no value is shown."""
    workspace = stack_with(**{NAME: OLD})
    begin(workspace, NAME, NEW, 7)
    said = capsys.readouterr()
    steps = [line for line in said.err.splitlines() if line.startswith("  ")]
    assert [step[2:4] for step in steps[:3]] == ["1.", "2.", "3."]
    assert "bin/runbook up" in steps[0]
    assert "WAHA" in steps[1]
    assert "--finish" in steps[2]
    assert OLD not in said.out + said.err
    assert NEW not in said.out + said.err


def test_a_secret_of_which_one_is_taken_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The old one ends with the next update, and nobody is let believe otherwise."""
    begin(stack_with(RESEND_API_KEY=OLD), "RESEND_API_KEY", NEW, 7)
    assert "takes one value only: the old one ends with `bin/runbook up`" in capsys.readouterr().err


def test_typed_as_a_person_would(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The value comes by standard input, or is made; it stands in the configuration alone."""
    workspace = stack_with(**{NAME: OLD})
    monkeypatch.setattr(secret_rotation, "open_workspace", lambda _stack: workspace)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{NEW}\n".encode())))
    assert exit_code("secrets", "rotate", NAME) == 0
    assert workspace.secrets()["current"][NAME] == NEW
    assert exit_code("secrets", "rotate", NAME, "--generate", "--grace-days", "1") == 0
    made = workspace.secrets()["current"][NAME]
    assert workspace.secrets()["current"][PREVIOUS].splitlines() == [NEW, OLD]
    said = capsys.readouterr()
    assert not [value for value in (OLD, NEW, made) if value in said.out + said.err]
    assert exit_code("secrets", "rotate", NAME, "--finish", "--force") == 0
    assert PREVIOUS not in workspace.secrets()["current"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([PREVIOUS], 1, "is no secret that can be rotated"),
        (["REDIS_PASSWORD"], 1, "is no secret that can be rotated"),
        (["NONSENSE"], 1, "is no secret that can be rotated"),
        ([NAME, "--finish", "--generate"], 2, "begins one"),
        ([NAME, "--grace-days", "0"], 2, "grace-days"),
        (["RESEND_API_KEY", "--generate"], 1, "its service gives it out"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And changes nothing."""
    workspace = stack_with(**{NAME: OLD, "RESEND_API_KEY": OLD})
    before = dict(workspace.config)
    monkeypatch.setattr(secret_rotation, "open_workspace", lambda _stack: workspace)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(NEW.encode())))
    assert exit_code("secrets", "rotate", *arguments) == code
    assert said in capsys.readouterr().err
    assert workspace.config == before
