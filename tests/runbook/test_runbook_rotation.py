from __future__ import annotations

import datetime
import json
import threading

import pytest
from fake_workspace import KEY, FakeWorkspace, changed_as_a_file, stack_with
from hypothesis import given
from hypothesis import strategies as st

from infra.manifest import Secrets
from runbook.errors import RunbookError
from runbook.rotation import (
    OVERLAPS,
    finish,
    is_overlapping,
    rotate,
    rotated,
    rotations,
)
from runbook.secret_values import change
from service.settings import SECRET_NAMES

NAME, PREVIOUS = "WAHA_WEBHOOK_SECRET", "WAHA_WEBHOOK_SECRET_PREVIOUS"
SIGNING, FALLBACK = "INNGEST_SIGNING_KEY", "INNGEST_SIGNING_KEY_FALLBACK"
UNTIL = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
VALUES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4)


def current(workspace: FakeWorkspace) -> dict[str, str]:
    """The values in force."""
    return workspace.secrets()["current"]


def test_the_service_takes_both() -> None:
    """The new value is the secret; the old one stands under the name that the service reads beside it."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="old")
    rotate(workspace, NAME, "new", UNTIL)
    assert current(workspace)[NAME] == "new"
    assert current(workspace)[PREVIOUS] == "old"
    assert rotations(workspace) == {NAME: UNTIL}
    assert is_overlapping(workspace, NAME)


def test_the_names_are_the_services() -> None:
    """What is written is what the service reads."""
    assert {*OVERLAPS, *(overlap.previous for overlap in OVERLAPS.values())} <= SECRET_NAMES


def test_rotated_again_all_are_taken() -> None:
    """One a line, the latest first, until the later time."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="first")
    rotate(workspace, NAME, "second", UNTIL)
    rotate(workspace, NAME, "third", UNTIL + SECOND)
    assert current(workspace)[PREVIOUS] == "second\nfirst"
    assert rotations(workspace) == {NAME: UNTIL + SECOND}


@given(st.lists(VALUES, min_size=2, max_size=6))
def test_no_value_is_lost_or_taken_twice(values: list[str]) -> None:
    """However often it is rotated, back to an earlier value too."""
    found = {NAME: values[0]}
    for value in values[1:]:
        found |= rotated(found, NAME, value)
    taken = [found[NAME], *found.get(PREVIOUS, "").splitlines()]
    assert sorted(filter(None, taken)) == sorted(set(values))


def test_inngest_has_one_old_key() -> None:
    """A second rotation before the first has ended would end the first key: refused."""
    workspace = stack_with(INNGEST_SIGNING_KEY="first")
    rotate(workspace, SIGNING, "second", UNTIL)
    assert current(workspace)[FALLBACK] == "first"
    with pytest.raises(RunbookError, match="is being rotated already") as refusal:
        rotate(workspace, SIGNING, "third", UNTIL)
    assert f"secrets rotate {SIGNING} --finish" in refusal.value.hint
    assert current(workspace)[SIGNING] == "second"
    assert rotations(workspace) == {SIGNING: UNTIL}


def test_any_other_secret_has_no_overlap() -> None:
    """It is set, and the old value kept for rollbacks; no time runs."""
    workspace = stack_with(RESEND_API_KEY="old")
    rotate(workspace, "RESEND_API_KEY", "new", UNTIL)
    assert current(workspace)["RESEND_API_KEY"] == "new"
    assert list(workspace.secrets()["retired"].values()) == ["old"]
    assert rotations(workspace) == {}
    assert not is_overlapping(workspace, "RESEND_API_KEY")


@pytest.mark.parametrize(("value", "why"), [("old", "has that value already"), ("new", "is not set")])
def test_nothing_to_rotate(value: str, why: str) -> None:
    """Without an old value there is no rotation, nor with the same one; nothing is changed."""
    workspace = stack_with(**({NAME: "old"} if value == "old" else {}))
    before = dict(workspace.config)
    with pytest.raises(RunbookError, match=why) as refusal:
        rotate(workspace, NAME, value, UNTIL)
    assert workspace.config == before
    assert value not in refusal.value.message + refusal.value.hint.replace("another one", "")


def test_each_release_can_be_brought_back() -> None:
    """Before, during and after: its values are found by the hashes that its manifest has."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="first")
    manifests, values = [], []

    def deployed() -> None:
        found = {name: value for name, value in current(workspace).items() if name in (NAME, PREVIOUS)}
        manifests.append(Secrets(found, {}, KEY).digests(found))
        values.append(found)

    deployed()
    rotate(workspace, NAME, "second", UNTIL)
    deployed()
    rotate(workspace, NAME, "third", UNTIL)
    deployed()
    finish(workspace, NAME)
    deployed()
    kept = workspace.secrets()
    store = Secrets(kept["current"], kept["retired"], KEY)
    assert [store.values(manifest) for manifest in manifests] == values
    assert values[-1] == {NAME: "third"}


def test_a_change_at_the_same_time_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each writes the stack's whole configuration: the time of the rotation's end was lost."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="old")
    is_read = changed_as_a_file(workspace, monkeypatch)
    first = threading.Thread(target=rotate, args=(workspace, NAME, "new", UNTIL))
    first.start()
    assert is_read.wait(60)
    change(workspace, {"SENTRY_DSN": "b"})
    first.join()
    assert {NAME: "new", PREVIOUS: "old", "SENTRY_DSN": "b"}.items() <= workspace.secrets()["current"].items()
    assert rotations(workspace) == {NAME: UNTIL}


def test_a_rotation_ends() -> None:
    """The present value alone is left, and of the time nothing."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="old", INNGEST_SIGNING_KEY="old key")
    rotate(workspace, NAME, "new", UNTIL)
    rotate(workspace, SIGNING, "new key", UNTIL)
    finish(workspace, NAME)
    assert PREVIOUS not in current(workspace)
    assert rotations(workspace) == {SIGNING: UNTIL}
    finish(workspace, SIGNING)
    assert "rotations" not in workspace.config


def test_the_configuration_holds_names_and_times_only() -> None:
    """It is not encrypted."""
    workspace = stack_with(WAHA_WEBHOOK_SECRET="old")
    rotate(workspace, NAME, "new", UNTIL)
    assert json.loads(workspace.config["rotations"]) == {NAME: {"until": "2026-12-01T12:00:00+00:00"}}


@pytest.mark.parametrize("text", ["{", "[]", '{"X": 1}', '{"X": {}}', '{"X": {"until": "soon"}}'])
def test_a_damaged_configuration_is_an_error(text: str) -> None:
    """With the file that has it."""
    workspace = stack_with()
    workspace.config["rotations"] = text
    with pytest.raises(RunbookError, match="not what the runbook writes") as refusal:
        rotations(workspace)
    assert "Pulumi.dev.yaml" in refusal.value.hint
