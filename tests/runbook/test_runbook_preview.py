from __future__ import annotations

import pytest
from engine_events import diagnostic, done, pre
from fake_workspace import FakeWorkspace

from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.preview import planned

CREATE = [pre("create", "web-1"), done("create", "web-1")]


def test_what_would_change_is_shown_and_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the preview is run."""
    workspace = FakeWorkspace(events=CREATE)
    assert planned(workspace) == ["web-1"]
    assert workspace.calls == ["preview"]
    assert capsys.readouterr().err == "  would create web-1\n"


def test_a_program_that_refuses_is_quoted() -> None:
    """As it would be by the update."""
    workspace = FakeWorkspace(
        events=[diagnostic("error", "layout.port: wrong")], failure=OperationFailed("x")
    )
    with pytest.raises(RunbookError, match=r"^layout\.port: wrong$"):
        planned(workspace)
