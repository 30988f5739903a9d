"""Images and contexts that nobody needs go; what can be brought back stays."""

from __future__ import annotations

import os
from pathlib import Path

from docker.errors import APIError, ImageNotFound
from records import deployed, history_of, outputs_of, record

from infra.history import MAX_GOOD
from runbook.pruning import CONTEXTS, obsolete, obsolete_contexts, prune

MANY = [f"r-{number}" for number in range(20)]


def test_the_last_releases_can_be_brought_back() -> None:
    """Ten beside the live one; those before them cannot."""
    gone = obsolete(history_of(deployed(*MANY)), [])
    assert len(gone) == 20 - 1 - MAX_GOOD
    assert set(gone) == set(MANY[:9])


def test_rollbacks_push_out_no_good_release() -> None:
    """Twenty releases that were taken out again leave the image of the one before them."""
    tried = [[record(f"r-bad-{number}"), record("r-1", "rollback")] for number in range(20)]
    records = [record("r-0"), record("r-1"), *(made for pair in tried for made in pair)]
    gone = obsolete(history_of(outputs_of(*records)), [])
    assert {"r-0", "r-1", "r-bad-19"} & set(gone) == set()
    assert "r-bad-0" in gone


def test_a_kept_release_is_never_pruned() -> None:
    """However old it is."""
    assert "r-0" not in obsolete(history_of(deployed(*MANY, kept=("r-0",))), [])


def test_what_was_refused_goes_unless_it_went_live_later() -> None:
    """Its evidence stays, its image is of no use."""
    assert obsolete(history_of(deployed("r-1", "r-2")), ["r-9", "r-2", "r-9"]) == ["r-9"]


def test_of_contexts_the_latest_of_each_kind_stay(tmp_path: Path) -> None:
    """What is being written, with a dot before its name, is not touched."""
    for age, name in enumerate([*(f"service-{number}" for number in range(6)), "packages-1", ".service-7"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    gone = {path.name for path in obsolete_contexts(tmp_path)}
    assert gone == {f"service-{number}" for number in range(CONTEXTS, 6)}


class Images:
    """An engine's images: one is there, one is in use, the others are gone."""

    def __init__(self) -> None:
        self.images = self
        self.removed: list[str] = []

    def remove(self, name: str) -> None:
        if name.endswith("r-8"):
            raise APIError("conflict: a container uses it")
        if not name.endswith("r-9"):
            raise ImageNotFound("no such image")
        self.removed.append(name)


def test_an_image_that_is_used_or_gone_is_no_error(tmp_path: Path) -> None:
    """Pruning stops no deployment."""
    engine = Images()
    found = prune(history_of(deployed("r-1")), ["r-7", "r-8", "r-9"], tmp_path, engine, tmp_path)  # type: ignore[arg-type]
    assert found == ["r-9"]
    assert engine.removed == ["runbook/service:r-9"]
