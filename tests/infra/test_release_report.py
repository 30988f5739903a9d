"""What is known of a release lies in its folder, and its page is made anew with each news."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.verdict import Report
from infra.manifest import BUILD
from infra.release_record import ReleaseRecord
from infra.release_report import facts_of, write, write_traffic
from infra.suites import Depth

RECORD = ReleaseRecord(
    release="r-1",
    reason="a reason",
    stack="prod",
    image="runbook/service:r-1",
    at="2026-11-25T13:49:34+00:00",
    by="kim@host",
    commit="921b999b670c",
    branch="main",
)


def test_the_page_grows_with_what_is_known(tmp_path: Path) -> None:
    """First who and what, then how it ended; nothing that was known is lost."""
    write(tmp_path, {**facts_of(RECORD), "release": "r-1", "verdict": "no evidence"})
    assert "r-1" in (tmp_path / "index.html").read_text()
    write(
        tmp_path,
        {"outcome": "refused", "refusal": ["gate: load refused release r-1 (fail):", "  lost: fail: 1"]},
    )
    page = (tmp_path / "index.html").read_text()
    assert "kim@host" in page
    assert "a reason" in page
    assert "lost: fail: 1" in page


@pytest.mark.parametrize("damaged", ["", "[]", '{"release": '])
def test_damaged_facts_are_begun_anew(tmp_path: Path, damaged: str) -> None:
    """A killed update may have left half of them."""
    (tmp_path / "release.json").write_text(damaged)
    write(tmp_path, {"release": "r-1"})
    assert json.loads((tmp_path / "release.json").read_text()) == {"release": "r-1"}


def test_a_page_that_cannot_be_written_stops_no_release(tmp_path: Path) -> None:
    """A file stands where its folder should be."""
    (tmp_path / "r-1").write_text("")
    write(tmp_path / "r-1", {"release": "r-1"})
    assert (tmp_path / "r-1").read_text() == ""


def test_the_evidence_of_a_full_gate_outlives_a_rollback() -> None:
    """A second of smoke has a folder of its own within it."""
    short = RECORD.model_copy(update={"verb": "rollback", "depth": Depth.SHORT})
    assert RECORD.folder == BUILD / "reports/prod/r-1"
    assert short.folder == BUILD / "reports/prod/r-1/rollback"


@pytest.mark.parametrize(
    ("refusal", "outcome"), [([], "live"), (["traffic: r-1 did not keep the traffic (fail)"], "refused")]
)
def test_the_ledger_tells_the_page_how_it_ended(tmp_path: Path, refusal: list[str], outcome: str) -> None:
    """With what the steps of the traffic showed; a fresh checkout has no folder yet."""
    folder, traffic = tmp_path / "r-1", Report.of("traffic", [], 7.0)
    write(folder, {**facts_of(RECORD), "release": "r-1", "verdict": "pass"})
    for there in (folder, tmp_path / "of a fresh checkout"):
        write_traffic(there, RECORD.model_copy(update={"traffic": traffic, "refusal": refusal}))
        assert json.loads((there / "release.json").read_text())["outcome"] == outcome
        assert Report.model_validate_json((there / "traffic.json").read_text()) == traffic
    assert (folder / "index.html").exists()


def test_a_folder_that_cannot_be_made_stops_no_release(tmp_path: Path) -> None:
    """By then the release has the traffic."""
    (tmp_path / "r-1").write_text("")
    write_traffic(tmp_path / "r-1", RECORD.model_copy(update={"traffic": Report.of("traffic", [], 7.0)}))
    assert (tmp_path / "r-1").read_text() == ""
