from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from docker.errors import ImageNotFound
from fake_workspace import FakeWorkspace
from releases_kit import entry, history, outputs_of

from infra.history import History
from infra.manifest import Manifest, Secrets, Shape
from infra.stack_config import RELEASE_KEY
from runbook.bringing_back import check_passable, check_signed, check_whole, choose
from runbook.errors import RunbookError
from runbook.secret_values import known_secrets
from runbook.signed_with import Signer

ROLLED_BACK = [entry("r-1"), entry("r-2"), entry("r-3"), entry("r-2", "rollback", "slow")]


@pytest.mark.parametrize(
    ("outputs", "asked", "chosen"),
    [
        (history("r-1", "r-2"), None, "r-1"),
        (history("r-1", "r-2", "r-3"), None, "r-2"),
        (history("r-1", "r-2", "r-1"), None, "r-2"),
        (history("r-1", "r-2", "r-2"), None, "r-1"),
        (history("r-1", "r-2", "r-3"), "r-1", "r-1"),
        (outputs_of(ROLLED_BACK), None, "r-1"),
        (outputs_of(ROLLED_BACK), "r-3", "r-3"),
    ],
)
def test_the_release_named_or_the_last_good_one(
    outputs: dict[str, Any], asked: str | None, chosen: str
) -> None:
    """The last good one is the last that was live, is not live, and was not rolled back; any can be named."""
    assert choose(History.of(outputs), asked)["id"] == chosen


def test_a_release_that_was_live_twice_comes_back_as_it_was_last() -> None:
    """The same id is the same content, and the later manifest is the one to trust."""
    outputs = history("r-1", "r-2", "r-1", "r-2")
    outputs["releases"][2]["manifest"]["image"] = "the later one"
    assert choose(History.of(outputs), None)["image"] == "the later one"


NONE = "there is no earlier release that was good"


@pytest.mark.parametrize(
    ("outputs", "asked", "message", "hint"),
    [
        (history("r-1", "r-2"), "r-2", "release r-2 is live already", "others: r-1"),
        (history("r-1"), "r-1", "release r-1 is live already", "others: none yet"),
        (history("r-1", "r-2", "r-3"), "r-9", "release 'r-9' is not known", "can be brought back: r-2, r-1"),
        (history("r-1", "r-2", kept=("r-1",)), "r-9", "release 'r-9' is not known", "r-1 (at once)"),
        (outputs_of(ROLLED_BACK[1:]), None, NONE, "name one: r-3 (rolled back)"),
        (history("r-1"), None, NONE, "bin/runbook up"),
        (history(), None, NONE, "bin/runbook up"),
        ({}, None, NONE, "bin/runbook up"),
        ({}, "r-1", "release 'r-1' is not known", "can be brought back: none yet"),
    ],
)
def test_what_cannot_be_brought_back(
    outputs: dict[str, Any], asked: str | None, message: str, hint: str
) -> None:
    """The refusal says why, and what there is instead, the latest first."""
    with pytest.raises(RunbookError) as refusal:
        choose(History.of(outputs), asked)
    assert refusal.value.message == message
    assert hint in refusal.value.hint


DROPPED = [{"key": "0002-drop-names@abc", "irreversible": "the names are gone"}]


def test_a_release_from_before_what_cannot_be_undone_stays_where_it_is() -> None:
    """With the reason, before anything moves; one that knows the migration may come back."""
    outputs = history("r-1", "r-2", "r-3")
    for entry_after in outputs["releases"][1:]:
        entry_after["manifest"]["migrations"] = DROPPED
    manifests = History.of(outputs).manifests
    check_passable(History.of(outputs), manifests["r-2"])
    with pytest.raises(RunbookError, match="0002-drop-names@abc: the names are gone") as refusal:
        check_passable(History.of(outputs), manifests["r-1"])
    assert "--force" in refusal.value.hint


def rotating(to: dict[str, str], now: dict[str, str]) -> tuple[str, Secrets, History, dict[str, Any]]:
    """A stack whose live release r-2 takes the secrets *now*, and its release r-1 those of *to*."""
    retired = {Secrets({}, {}, KEY).digest(value): value for value in {*to.values(), *now.values()}}
    secrets = Secrets({RELEASE_KEY: KEY, **now}, retired, KEY)
    outputs = history("r-1", "r-2")
    for entry_of, values in zip(outputs["releases"], (to, now), strict=True):
        digests = {name: secrets.digest(value) for name, value in values.items()}
        entry_of["manifest"]["secrets"] = digests
    found = History.of(outputs)
    return "dev", secrets, found, found.manifests["r-1"]


OLD = {"WAHA_WEBHOOK_SECRET": "old"}
BOTH = {"WAHA_WEBHOOK_SECRET": "new", "WAHA_WEBHOOK_SECRET_PREVIOUS": "old\nolder"}
NEW = {"WAHA_WEBHOOK_SECRET": "new"}


@pytest.mark.parametrize(
    ("to", "now", "signs_with"),
    [
        (OLD, OLD, None),
        (BOTH, NEW, None),
        (NEW, BOTH, None),
        (OLD, BOTH, Signer.OLD),
        (OLD, BOTH, Signer.UNKNOWN),
    ],
    ids=["no rotation", "after it", "back into it", "WAHA has the old one", "nothing comes"],
)
def test_a_release_that_knows_the_secret_in_use_may_come_back(
    to: dict[str, str], now: dict[str, str], signs_with: Signer | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """WAHA is only asked after where there is doubt, and doubt that stays is said."""

    def asked(_stack: str, _release: str) -> Signer:
        assert signs_with is not None
        return signs_with

    check_signed(*rotating(to, now), asked)
    assert ("does WAHA still sign with it?" in capsys.readouterr().err) is (signs_with is Signer.UNKNOWN)


@pytest.mark.parametrize(
    ("now", "signs_with"), [(BOTH, Signer.NEW), (NEW, Signer.UNKNOWN), (NEW, Signer.OLD)]
)
def test_a_release_that_would_refuse_every_webhook_stays_where_it_is(
    now: dict[str, str], signs_with: Signer
) -> None:
    """WAHA signs with the new secret, or the live release takes no other: the old one knows neither."""
    with pytest.raises(RunbookError, match="r-1 does not know the WAHA_WEBHOOK_SECRET") as refusal:
        check_signed(*rotating(OLD, now), lambda _stack, _release: signs_with)
    assert "old\n" not in refusal.value.hint


class Engine:
    """An engine with these images."""

    def __init__(self, *images: str) -> None:
        self.images = self
        self._names = images

    def get(self, name: str) -> None:
        if name not in self._names:
            raise ImageNotFound("no such image")


KEY = "the stack's key"


def manifest(secret: str) -> dict[str, Any]:
    """Of a release that was gated with *secret*."""
    digest = Secrets({}, {}, KEY).digest(secret)
    return asdict(Manifest("r-1", "runbook/service:r-1", {}, {"WAHA_API_KEY": digest}, Shape(1, 1, 256, 256)))


def known(**retired: str) -> Secrets:
    """Those of a stack whose secret is `new` now, and that knows those *retired* (by digest)."""
    made = FakeWorkspace()
    made.keep_secrets({"current": {RELEASE_KEY: KEY, "WAHA_API_KEY": "new"}, "retired": retired})
    return known_secrets(made)


def test_a_whole_release_may_come_back() -> None:
    """Its image is there, its secrets are known: the current ones, or those that were."""
    check_whole(known(), manifest("new"), Engine("runbook/service:r-1"))  # type: ignore[arg-type]
    old = {Secrets({}, {}, KEY).digest("old"): "old"}
    check_whole(known(**old), manifest("old"), Engine("runbook/service:r-1"))  # type: ignore[arg-type]


def test_a_release_without_its_image_is_refused_before_anything_moves() -> None:
    """By the image's name, with what to do instead."""
    with pytest.raises(RunbookError, match="its image runbook/service:r-1 is gone"):
        check_whole(known(), manifest("new"), Engine())  # type: ignore[arg-type]


def test_a_release_whose_secret_is_no_longer_known_is_refused() -> None:
    """By the secret's name, never a value."""
    with pytest.raises(RunbookError, match="the WAHA_API_KEY that it had is not known any more") as refusal:
        check_whole(known(), manifest("old"), Engine("runbook/service:r-1"))  # type: ignore[arg-type]
    assert "secrets set WAHA_API_KEY" in refusal.value.hint
    assert "old" not in refusal.value.hint
