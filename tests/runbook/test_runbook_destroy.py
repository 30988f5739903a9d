from __future__ import annotations

import pytest
from engine_events import diagnostic
from fake_workspace import FakeWorkspace

from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.destroy import destroy, tear_down


def test_the_stack_is_forgotten_after_all_of_it_is_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    """With its configuration."""
    workspace = FakeWorkspace()
    tear_down(workspace)
    assert workspace.calls == ["destroy", "remove"]
    assert capsys.readouterr().err == "stack dev is gone\n"


def test_a_stack_that_is_not_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The end is the same, so it is no failure."""
    workspace = FakeWorkspace(is_made=False)
    tear_down(workspace)
    assert workspace.calls == []
    assert "nothing to do" in capsys.readouterr().err


def test_what_could_not_be_deleted_is_kept_in_mind() -> None:
    """The stack is not forgotten while something of it remains."""
    workspace = FakeWorkspace(events=[diagnostic("error", "volume is in use")], failure=OperationFailed("x"))
    with pytest.raises(RunbookError, match="volume is in use"):
        tear_down(workspace)
    assert workspace.calls == ["destroy"]


def test_data_is_not_deleted_unasked() -> None:
    """Without a terminal to ask at, only `--yes` deletes a stack that is no dev stack."""
    with pytest.raises(RunbookError, match="deletes its data") as refusal:
        destroy("production", yes=False)
    assert "--yes" in refusal.value.hint
