"""`up` watches what it deployed, and what an `up` before it deployed and did not watch to the end."""

from __future__ import annotations

from importlib import import_module

import pytest
from fake_service import exit_code
from fake_stack import FakeStack, moves_of
from fake_workspace import FakeWorkspace
from records import deployed

from contracts.targets import read_targets
from runbook.liveness import live_route
from runbook.progress import Progress
from runbook.watch_note import note_watched


@pytest.fixture
def watched(stack: FakeStack, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """r-2 is live. For how long each `up` that follows watches it; none deploys anything."""
    stack.deploy("r-1", "r-2")
    found: list[float] = []
    update(monkeypatch)
    for name in ("refuse_dirty", "prepare"):
        monkeypatch.setattr(import_module("runbook.verbs.up"), name, lambda *_args, **_more: None)
    for name, fake in {
        "Workspace": FakeWorkspace,
        "ensure_live": lambda _workspace, _request, progress, **_: progress,
        "read_history": lambda *_args: None,
        "prune": lambda *_args: [],
        "watch_live": lambda _stack, for_s: found.append(for_s),
    }.items():
        monkeypatch.setattr(import_module("runbook.verbs.up"), name, fake)
    return found


def update(monkeypatch: pytest.MonkeyPatch, *changed: str) -> None:
    """Let the next `up` change these resources."""
    progress = Progress()
    progress.changed, progress.outputs = list(changed), {**deployed("r-1", "r-2"), "url": "http://x"}
    monkeypatch.setattr(import_module("runbook.verbs.up"), "deploy_sources", lambda *_args: progress)


def note() -> None:
    """The live release was watched to the end."""
    live = live_route("dev")
    assert live is not None
    note_watched("dev", live)


def test_a_release_that_just_got_the_traffic_is_watched(
    watched: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as the targets say, unless that is not wished."""
    update(monkeypatch, "release-r-2", "ledger")
    assert exit_code("up", "--no-watch") == 0
    assert watched == []
    assert exit_code("up") == 0
    assert watched == [read_targets().watch.after_up_s]


def test_a_release_that_nobody_watched_to_the_end_is_watched(watched: list[float]) -> None:
    """Whoever deployed it was killed behind the ledger: there is nothing to do, and much to see."""
    assert exit_code("up") == 0
    assert watched == [read_targets().watch.after_up_s]


def test_a_release_that_was_watched_is_not_watched_again(
    watched: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else changes."""
    note()
    update(monkeypatch, "kept")
    assert exit_code("up") == 0
    assert watched == []


def test_a_release_that_was_brought_back_is_not_watched(watched: list[float], stack: FakeStack) -> None:
    """It had been good before."""
    stack.serve("r-1", *moves_of("r-1", "r-2"), *moves_of("r-1", verb="rollback"))
    assert exit_code("up") == 0
    assert watched == []
