from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import requests
from docker.errors import DockerException
from fake_workspace import FakeWorkspace

from contracts.targets import TargetsError
from infra.errors import Refused
from runbook.errors import RunbookError
from runbook.verbs.check import REQUIRED, Line, probed, stack_lines


def opened(workspace: FakeWorkspace) -> dict[str, Line]:
    """The lines on a stack that can be opened, by name."""
    return {line.name: line for line in stack_lines(lambda: workspace)}


@pytest.fixture
def workspace(tmp_path: Path) -> FakeWorkspace:
    """A stack with nothing wrong."""
    workspace = FakeWorkspace(state_folder=tmp_path)
    workspace.keep_secrets({"current": dict.fromkeys(REQUIRED, "hunter2"), "retired": {}})
    return workspace


def test_a_stack_in_order_passes(workspace: FakeWorkspace) -> None:
    """Each line says what was found; no secret's value is among it."""
    lines = opened(workspace)
    assert [line.result for line in lines.values()] == ["passed"] * 4
    assert lines.keys() == {"stack", "lock", "secrets", "pending operations"}
    assert "hunter2" not in "".join(map(str, lines.values()))


def test_without_the_stack_its_lines_are_skipped() -> None:
    """They are neither passed nor failed, and the one that failed says how the stack is made."""

    def fail() -> FakeWorkspace:
        raise RunbookError("there is no stack 'x'", "`bin/runbook up`")

    first, *others = stack_lines(fail)
    assert first == Line("stack", "failed", "there is no stack 'x' (`bin/runbook up`)")
    assert {line.result for line in others} == {"skipped"}
    assert [line.name for line in others] == ["lock", "secrets", "pending operations"]


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
    assert line.result == "failed"
    assert f"not set: {name} (" in line.detail


def test_pending_operations_fail(workspace: FakeWorkspace) -> None:
    """They are counted, and what clears them is named."""
    workspace.deployment = {"pending_operations": [{}, {}]}
    line = opened(workspace)["pending operations"]
    assert line.result == "failed"
    assert "2 left by a killed update (`bin/runbook up`" in line.detail


@pytest.mark.parametrize(
    ("host", "pid", "detail"),
    [
        (socket.gethostname(), 2**22 + 1, "left by a killed update: process"),
        ("elsewhere", os.getpid(), "held by process"),
    ],
)
def test_a_lock_fails(workspace: FakeWorkspace, host: str, pid: int, detail: str) -> None:
    """One that is held is to be waited for, one that was left is cleared away by the next update."""
    folder = Path(workspace.state_folder or "") / "locks/organization/runbook/dev"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(
        f'{{"pid": {pid}, "hostname": "{host}", "username": "root", "timestamp": "today"}}'
    )
    line = opened(workspace)["lock"]
    assert line.result == "failed"
    assert line.detail.startswith(detail)


def test_a_backend_that_keeps_its_locks_to_itself() -> None:
    """What could not be looked at is not called free."""
    assert "refuses" in opened(FakeWorkspace())["lock"].detail


@pytest.mark.parametrize(
    "error",
    [
        RunbookError("wrong", "do"),
        Refused("wrong"),
        TargetsError("wrong"),
        DockerException("wrong"),
        requests.ReadTimeout("wrong"),
    ],
    ids=type,
)
def test_whatever_a_probe_meets_is_a_line(error: Exception) -> None:
    """The others are still gone through."""

    def fail() -> str:
        raise error

    line = probed("it", fail)
    assert line.result == "failed"
    assert line.detail.startswith("wrong")
    assert "()" not in line.detail


def test_a_line_is_aligned() -> None:
    """The names stand under each other."""
    assert str(Line("targets", "passed", "x")) == "passed  targets: x"
    assert str(Line("lock", "skipped", "x")) == "skipped lock: x"
