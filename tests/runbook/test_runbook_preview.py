from __future__ import annotations

import json
import socket
from importlib import import_module
from pathlib import Path

import pytest
from engine_events import diagnostic, done, pre, urn
from fake_service import exit_code
from fake_stack import FakeStack
from fake_workspace import FakeWorkspace, stack_with

from infra.deploy_lock import DeployLock
from infra.lock_holder import Holder, Kind
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.preview import planned

STACK_ID = "urn:pulumi:dev::runbook::pulumi-python:dynamic:Resource::stack-id"
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
    with pytest.raises(RunbookError) as refusal:
        planned(workspace)
    assert refusal.value.message == "layout.port: wrong"


def test_looking_clears_nothing_away(
    tmp_path: Path, stack: FakeStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside an update that runs, or one that was killed: that is for whoever holds the deploy lock.

    No container goes, no lock is cancelled or taken, nothing pending is forgotten.
    """
    workspace = stack_with()
    workspace.state_folder, workspace.events = tmp_path, CREATE
    workspace.state = {
        "resources": [{"urn": STACK_ID, "outputs": {"value": "ours"}}],
        "pending_operations": [{"resource": {"urn": urn("web-1")}, "type": "creating"}],
    }
    lock = tmp_path / "locks/organization/runbook/dev/a.json"
    lock.parent.mkdir(parents=True)
    held = {"pid": 2**22 + 1, "username": "root", "hostname": socket.gethostname(), "timestamp": "today"}
    lock.write_text(json.dumps(held))
    orphan = stack.engine.containers.add("half-made", state="ours")
    theirs = DeployLock("dev").take(Holder.here(Kind.MANUAL, "incident 42"))
    volumes = set(stack.engine.volumes.found)
    verb = import_module("runbook.verbs.preview")
    monkeypatch.setattr(verb, "prepare", lambda _stack: None)
    monkeypatch.setattr(verb, "Workspace", lambda _stack: workspace)
    assert exit_code("preview", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"changes": 1}
    assert workspace.calls == ["preview"]
    assert not orphan.removed
    assert (DeployLock("dev").read(), set(stack.engine.volumes.found)) == (theirs, volumes)
