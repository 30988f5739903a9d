"""What is live is what the proxy serves: every verb that speaks of releases goes by it, and says so."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
import requests
from docker.errors import DockerException
from fake_service import exit_code
from fake_stack import FakeStack, moves_of
from fake_workspace import FakeWorkspace
from records import deployed, outputs_of, record

from runbook.stack_view import read_history

MOVED = moves_of("r-1", "r-2", "r-3")[2:]
"""The proxy's last move, of which the state has not heard."""


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    """The state of stack dev, in which r-2 is live and r-1 was before; the verbs open it."""
    found = FakeWorkspace(
        found_outputs=outputs_of(record("r-1", commit="1111"), record("r-2", commit="2222"))
    )
    for verb in ("outputs", "releases", "hotfix"):
        monkeypatch.setattr(import_module(f"runbook.verbs.{verb}"), "open_workspace", lambda _stack: found)
    monkeypatch.setattr(import_module("runbook.verbs.hotfix"), "ensure_engine", lambda _say: None)
    return found


def test_where_they_agree_nothing_is_said(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which is nearly always."""
    stack.deploy("r-1", "r-2")
    history = read_history(workspace)
    assert (history.live, history.running) == ("r-2", ("r-1",))
    assert capsys.readouterr().err == ""


def test_where_they_disagree_the_proxy_counts_and_it_is_said(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """With both, and what puts it right."""
    stack.add_release("r-3")
    stack.serve("r-3", *MOVED)
    history = read_history(workspace)
    assert (history.live, history.good) == ("r-3", ["r-3", "r-2", "r-1"])
    assert capsys.readouterr().err == (
        "warning: the proxy serves r-3, the state says that r-2 is live; "
        "the next `bin/runbook up` or `rollback` puts that right\n"
    )


@pytest.mark.parametrize(
    ("serves", "outputs", "said"),
    [
        (None, deployed("r-1"), "the proxy serves no release, the state says that r-1 is live"),
        ("r-1", {}, "the proxy serves r-1, the state says that none is live"),
        (None, {}, None),
    ],
)
def test_one_of_them_may_know_of_none(
    stack: FakeStack,
    serves: str | None,
    outputs: dict[str, Any],
    said: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The proxy was removed; or the first update was interrupted; or nothing was live yet."""
    if serves:
        stack.deploy(serves)
    assert read_history(FakeWorkspace(found_outputs=outputs)).live == serves
    assert capsys.readouterr().err.partition(";")[0] == (f"warning: {said}" if said else "")


@pytest.mark.parametrize(
    "error", [DockerException("Error while fetching server API version"), requests.ConnectionError("refused")]
)
def test_without_the_engine_it_is_what_the_state_says(
    workspace: FakeWorkspace,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which is said: it may be behind."""

    def away() -> object:
        raise error

    monkeypatch.setattr("docker.from_env", away)
    assert read_history(workspace).live == "r-2"
    said = capsys.readouterr().err
    assert said == (
        f"warning: the engine cannot be asked what is live ({error}): this is what the state says\n"
    )


def test_outputs_tell_what_the_proxy_serves(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """For machines: they act on it. The release that the state has not heard of is among the releases."""
    stack.add_release("r-3")
    stack.serve("r-3", *MOVED)
    assert exit_code("outputs", "--json") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["release"] == "r-3"
    assert [each["release"] for each in found["releases"]] == ["r-1", "r-2", "r-3"]
    assert found["url"] == "http://127.0.0.1:8080"
    assert "the proxy serves r-3" in said.err
    assert exit_code("outputs") == 0
    assert "release: r-3\n" in capsys.readouterr().out


def test_before_the_first_update_there_are_no_outputs(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is said to people; a machine gets an empty object."""
    workspace.found_outputs = {}
    assert exit_code("outputs", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {}
    assert exit_code("outputs") == 0
    assert "no update of stack dev has ended well yet" in capsys.readouterr().err


def test_a_first_update_that_was_interrupted_behind_the_move_has_outputs(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The state has none yet, and the proxy serves."""
    workspace.found_outputs = {}
    stack.deploy("r-1")
    assert exit_code("outputs", "--json") == 0
    assert json.loads(capsys.readouterr().out)["release"] == "r-1"


def test_releases_list_what_the_proxy_serves(
    stack: FakeStack, workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the release that the state has not heard of, all that the route and its containers tell."""
    stack.add_release("r-2")
    stack.add_release("r-3")
    stack.serve("r-3", *MOVED)
    assert exit_code("releases", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["release"], row["state"]) for row in rows] == [("r-3", "live"), ("r-2", "kept"), ("r-1", "")]
    assert (rows[0]["replaced"], rows[0]["by"]) == ("r-2", "anna@laptop")
    assert rows[0]["manifest"]["image"] == "runbook/service:r-3"


def test_a_hotfix_begins_at_what_the_proxy_serves(
    stack: FakeStack,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a rollback whose state has not followed, not at the commit of the bad release."""
    began: list[str] = []

    class Branch:
        branch = "hotfix/answers"

        def __init__(self, name: str, live: str) -> None:
            began.append(live)

        def is_checked_out(self) -> bool:
            return False

        def begin(self) -> None:
            pass

    monkeypatch.setattr(import_module("runbook.verbs.hotfix"), "HotfixBranch", Branch)
    stack.deploy("r-1", "r-2")
    stack.serve("r-1", *moves_of("r-2", "r-1", verb="rollback")[1:])
    assert exit_code("hotfix", "answers") == 0
    assert began == ["1111"]
    assert "begins at 1111, which is live" in capsys.readouterr().err
