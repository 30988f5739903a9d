from __future__ import annotations

import datetime
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from engine_events import failed, pre
from fake_volumes import VolumesEngine
from fake_workspace import FakeWorkspace

from infra.deploy_lock import DeployLock
from infra.errors import Refused
from infra.lock_holder import Holder, Kind
from infra.provenance import GitState
from runbook.checklist import machine
from runbook.checklist.line import Line, Result, Skipped
from runbook.checklist.stack import REQUIRED, preview_line, stack_lines
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.rotation import rotate

NAMES = ["stack", "deploy lock", "lock", "secrets", "rotations", "pending operations"]


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine in which nobody holds a lock."""
    engine = VolumesEngine()
    monkeypatch.setattr("docker.from_env", lambda: engine)


@pytest.fixture
def workspace(tmp_path: Path) -> FakeWorkspace:
    """A stack with nothing wrong."""
    workspace = FakeWorkspace(state_folder=tmp_path)
    workspace.keep_secrets({"current": dict.fromkeys(REQUIRED, "hunter2"), "retired": {}})
    return workspace


def opened(workspace: FakeWorkspace) -> dict[str, Line]:
    """The lines on a stack that can be opened, by name."""
    lines, found = stack_lines("dev", lambda: workspace)  # type: ignore[arg-type,return-value]
    assert found is workspace
    return {line.name: line for line in lines}


def test_a_stack_in_order_passes(workspace: FakeWorkspace) -> None:
    """Each line says what was found; no secret's value is among it."""
    lines = opened(workspace)
    assert list(lines) == NAMES
    assert {line.result for line in lines.values()} == {Result.PASSED}
    assert "hunter2" not in "".join(map(str, lines.values()))


def test_a_stack_that_cannot_be_opened_fails() -> None:
    """What needs it is neither passed nor failed."""

    def fail() -> FakeWorkspace:
        raise RunbookError("stack 'dev' cannot be selected: no such bucket", "see PULUMI_BACKEND_URL")

    lines, found = stack_lines("dev", fail)  # type: ignore[arg-type]
    assert found is None
    assert lines[0].result is Result.FAILED
    assert lines[0].detail == "stack 'dev' cannot be selected: no such bucket (see PULUMI_BACKEND_URL)"
    assert [line.result for line in lines[2:]] == [Result.SKIPPED] * 4


def test_before_the_first_update_there_is_none() -> None:
    """That is no fault: `up` makes it."""
    lines, found = stack_lines("dev", lambda: None)
    assert found is None
    assert [line.name for line in lines] == NAMES
    assert {line.result for line in lines} == {Result.SKIPPED, Result.PASSED}
    assert "`bin/runbook up --stack dev` makes it" in lines[0].detail


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_a_required_secret_that_is_missing_fails(
    name: str, value: str | None, workspace: FakeWorkspace
) -> None:
    """By name; an empty one is missing too."""
    kept = workspace.secrets()
    kept["current"][name] = value or ""
    if value is None:
        del kept["current"][name]
    workspace.keep_secrets(kept)
    line = opened(workspace)["secrets"]
    assert line.result is Result.FAILED
    assert f"not set: {name} (" in line.detail


def test_pending_operations_fail(workspace: FakeWorkspace) -> None:
    """They are counted, and what clears them is named."""
    workspace.state = {"pending_operations": [{}, {}]}
    line = opened(workspace)["pending operations"]
    assert line.result is Result.FAILED
    assert "2 left by a killed update (`bin/runbook up`" in line.detail


@pytest.mark.parametrize(
    ("host", "pid", "detail"),
    [
        (socket.gethostname(), 2**22 + 1, "left by a killed update: process"),
        ("elsewhere", os.getpid(), "held by process"),
    ],
    ids=["here, dead", "elsewhere, alive"],
)
def test_pulumis_lock_fails(workspace: FakeWorkspace, host: str, pid: int, detail: str) -> None:
    """One that is held is to be waited for, one that was left is cleared away by the next update."""
    folder = Path(workspace.state_folder or "") / "locks/organization/runbook/dev"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(
        f'{{"pid": {pid}, "hostname": "{host}", "username": "root", "timestamp": "today"}}'
    )
    line = opened(workspace)["lock"]
    assert line.result is Result.FAILED
    assert line.detail.startswith(detail)


def test_a_backend_that_keeps_its_locks_to_itself() -> None:
    """What could not be looked at is not called free."""
    assert "refuses" in opened(FakeWorkspace())["lock"].detail


@pytest.mark.parametrize(
    ("kind", "change", "result", "detail"),
    [
        (Kind.PROCESS, {}, Result.FAILED, "lock show --stack dev"),
        (Kind.MANUAL, {}, Result.FAILED, "lock release --stack dev"),
        (Kind.PROCESS, {"pid": 2**22 + 1}, Result.PASSED, "the next deployment takes it over"),
    ],
)
def test_a_held_deploy_lock_fails(
    workspace: FakeWorkspace, kind: Kind, change: dict[str, object], result: Result, detail: str
) -> None:
    """With who has it and why; one whose holder is gone stops nobody."""
    holder = replace(Holder.here(kind, "incident 42"), **change)  # type: ignore[arg-type]
    DeployLock("dev").take(holder)
    line = opened(workspace)["deploy lock"]
    assert line.result is result
    assert detail in line.detail
    assert "incident 42" in line.detail


def test_a_rotation_is_told(workspace: FakeWorkspace) -> None:
    """With its end."""
    assert opened(workspace)["rotations"].detail == "none under way"
    rotate(workspace, "WAHA_WEBHOOK_SECRET", "new", datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC))  # type: ignore[arg-type]
    detail = opened(workspace)["rotations"].detail
    assert detail == "the old WAHA_WEBHOOK_SECRET is taken until 2026-12-01 12:00 UTC"


def test_the_preview_counts_changes(workspace: FakeWorkspace) -> None:
    """None is fine too; where it cannot be planned, why."""
    assert preview_line("code", workspace).detail == "nothing would change"  # type: ignore[arg-type]
    workspace.events = [pre("create", "web-1"), pre("update", "live")]
    assert preview_line("code", workspace).detail == "2 changes"  # type: ignore[arg-type]
    assert workspace.calls == ["preview", "preview"]
    workspace.events, workspace.failure = [failed("create", "web-1")], OperationFailed("no such setting")
    line = preview_line("code", workspace)  # type: ignore[arg-type]
    assert (line.result, "no such setting" in line.detail) == (Result.FAILED, True)
    assert preview_line("code", None).result is Result.SKIPPED


@pytest.mark.parametrize(
    ("stack", "state", "detail"),
    [
        ("production", GitState("4cb1406aaaaa", "main"), "main at 4cb1406aaaaa, nothing to commit"),
        ("dev", GitState("4cb1406aaaaa", "main", ("a",)), "main at 4cb1406aaaaa, not committed: a"),
        (
            "production",
            GitState("4cb1406aaaaa", "main", (), 2, 1),
            "main at 4cb1406aaaaa, nothing to commit, "
            "branch main is 1 commit behind its upstream, 2 not pushed",
        ),
        ("dev", GitState("", ""), "no branch at no commit yet, nothing to commit"),
    ],
)
def test_git_is_told(monkeypatch: pytest.MonkeyPatch, stack: str, state: GitState, detail: str) -> None:
    """Branch, commit, what is not committed, how far it is from its upstream."""
    monkeypatch.setattr(machine, "git_state", lambda _folder: state)
    assert machine.git(stack) == detail


def test_production_is_not_deployed_from_a_dirty_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` would refuse it; where there is no git, nothing was looked at."""
    monkeypatch.setattr(machine, "git_state", lambda _folder: GitState("4cb1406aaaaa", "main", ("a", "b")))
    with pytest.raises(machine.Failed, match="not committed: a, b; `up` refuses it without --force"):
        machine.git("production")
    monkeypatch.setattr(machine, "git_state", lambda _folder: None)
    with pytest.raises(Skipped, match="no git checkout"):
        machine.git("production")


def test_what_git_cannot_tell_is_no_line_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` would refuse production; a dev stack may be deployed from any tree."""

    def git_state(_folder: Path) -> GitState:
        raise Refused("git cannot tell how /src is: fatal: detected dubious ownership", "mend it")

    monkeypatch.setattr(machine, "git_state", git_state)
    with pytest.raises(Refused, match="dubious ownership"):
        machine.git("production")
    with pytest.raises(Skipped, match="dubious ownership"):
        machine.git("dev")
