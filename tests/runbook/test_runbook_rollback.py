from __future__ import annotations

import json
from typing import Any

import pytest
from fake_workspace import FakeWorkspace
from releases_kit import history

from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.verbs.rollback import bring_back, choose


@pytest.mark.parametrize(
    ("outputs", "asked", "chosen"),
    [
        (history("r-1", "r-2"), None, "r-1"),
        (history("r-1", "r-2", "r-3"), None, "r-2"),
        (history("r-1", "r-2", "r-1"), None, "r-2"),
        (history("r-1", "r-2", "r-2"), None, "r-1"),
        (history("r-1", "r-2", "r-3"), "r-1", "r-1"),
    ],
)
def test_the_release_named_or_the_one_before(outputs: dict[str, Any], asked: str | None, chosen: str) -> None:
    """The one before is the last that was live and is another than the live one."""
    assert choose(outputs, asked)["id"] == chosen


def test_a_release_that_was_live_twice_comes_back_as_it_was_last() -> None:
    """The same id is the same content, and the later manifest is the one to trust."""
    outputs = history("r-1", "r-2", "r-1", "r-2")
    outputs["releases"][2]["manifest"]["image"] = "the later one"
    assert choose(outputs, None)["image"] == "the later one"


@pytest.mark.parametrize(
    ("outputs", "asked", "message", "hint"),
    [
        (history("r-1", "r-2"), "r-2", "release r-2 is live already", "others: r-1"),
        (history("r-1"), "r-1", "release r-1 is live already", "others: none yet"),
        (history("r-1", "r-2", "r-3"), "r-9", "release 'r-9' is not known", "can be brought back: r-2, r-1"),
        (history("r-1"), None, "there is no earlier release", "bin/runbook up"),
        (history(), None, "there is no earlier release", "bin/runbook up"),
        ({}, None, "there is no earlier release", "bin/runbook up"),
        ({}, "r-1", "release 'r-1' is not known", "can be brought back: none yet"),
    ],
)
def test_what_cannot_be_brought_back(
    outputs: dict[str, Any], asked: str | None, message: str, hint: str
) -> None:
    """The refusal says why, and what there is instead, the latest first."""
    with pytest.raises(RunbookError) as refusal:
        choose(outputs, asked)
    assert refusal.value.message == message
    assert hint in refusal.value.hint


def test_the_manifest_is_pinned_for_the_update() -> None:
    """It stays until the next `up`."""
    workspace = FakeWorkspace(found_outputs=history("r-1", "r-2", "r-1"))
    manifest = choose(history("r-1", "r-2"), None)
    assert bring_back(workspace, manifest).outputs["release"] == "r-1"
    assert workspace.calls == ["up"]
    assert json.loads(workspace.config["pinned"]) == manifest


@pytest.mark.parametrize("before", [None, '{"id": "r-0"}'])
@pytest.mark.parametrize("failure", [OperationFailed("the gate refused"), KeyboardInterrupt()], ids=type)
def test_a_rollback_that_failed_is_forgotten(before: str | None, failure: BaseException) -> None:
    """Interrupted too: the next update does what it would have done without it."""
    workspace = FakeWorkspace(config={"pinned": before} if before else {}, failure=failure)
    with pytest.raises((RunbookError, KeyboardInterrupt)):
        bring_back(workspace, {"id": "r-1"})
    assert workspace.config.get("pinned") == before
