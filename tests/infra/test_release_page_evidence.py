"""Whatever lies in the folder, the page says what it is and goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_page_kit import check, passed, refused, release, report, smoke_checks, written

from infra.release_page.evidence import read_evidence
from infra.release_page.headline import headline
from infra.release_page.sections import Section, sections

RECORDS = [
    "release.json",
    "smoke.json",
    "load.json",
    "containers.json",
    "traffic.json",
    "load.series.json",
    "containers.series.json",
]


def suites(folder: Path) -> dict[str, Section]:
    """The sections of a folder's page by their suite."""
    return {section.key: section for section in sections(read_evidence(folder))}


def test_an_empty_folder_says_what_was_not_run(tmp_path: Path) -> None:
    """Each suite, and that nobody knows whose release it was."""
    assert {section.state for section in suites(tmp_path).values()} == {"not run"}
    head = headline(read_evidence(tmp_path))
    assert (head.release, head.verdict) == (tmp_path.name, None)
    assert "There is no release.json" in head.oddities[0]


def test_a_whole_folder_has_nothing_odd(tmp_path: Path) -> None:
    """All suites passed, nothing is said to be missing, no log is shown."""
    passed(tmp_path)
    assert {section.state for section in suites(tmp_path).values()} == {"pass"}
    assert not any(section.log for section in suites(tmp_path).values())
    assert headline(read_evidence(tmp_path)).oddities == []


@pytest.mark.parametrize("file", RECORDS)
@pytest.mark.parametrize(
    "content", ["", "{", "null", "[]", '"x"', "{}", '{"suite": "load", "ver', "\x00\xff", "[" * 5000]
)
def test_a_damaged_file_is_named_and_the_rest_goes_on(tmp_path: Path, file: str, content: str) -> None:
    """Half-written, of another shape or no JSON at all."""
    written(passed(tmp_path), {file: content})
    found = read_evidence(tmp_path)
    assert [damage.file for damage in found.damaged] == [file]
    assert f"{file} is damaged: " in headline(found).oddities[0]
    assert len(found.reports) == (3 if file in RECORDS[1:5] else 4)


def test_a_damaged_report_is_no_suite_that_was_not_run(tmp_path: Path) -> None:
    """And its log is shown: something went wrong there."""
    written(tmp_path, {"load.json": '{"suite": "load", "ver', "load.log": "Killed\n"})
    load = suites(tmp_path)["load"]
    assert (load.state, load.log) == ("damaged", ["Killed"])
    assert "EOF while parsing" in load.note


def test_damage_names_the_place_and_not_the_value(tmp_path: Path) -> None:
    """A value may be as long as the file; three problems are enough."""
    broken = report("load", [check("a", 1, 2)], 3) | {
        "verdict": "x" * 5000,
        "suite": 3,
        "duration_s": "no",
        "checks": 1,
    }
    written(tmp_path, {"load.json": broken})
    why = read_evidence(tmp_path).damaged[0].why
    assert "verdict: Input should be 'pass', 'fail' or 'no evidence'" in why
    assert why.endswith("and 1 more")
    assert len(why) < 400


@pytest.mark.parametrize("name", ["load.json", "load.log"])
def test_what_is_no_file_is_damaged(tmp_path: Path, name: str) -> None:
    """A folder, or a pipe on which nobody writes, is not waited for."""
    (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / f"smoke{Path(name).suffix}")
    found = read_evidence(tmp_path)
    assert [damage.why for damage in found.damaged] == ["cannot be read: is not a file"] * 2


def test_a_file_that_vanishes_or_may_not_be_read_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system says it."""
    written(tmp_path, {"load.json": report("load", [], 1)})

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert read_evidence(tmp_path).damaged[0].why == "cannot be read: Permission denied"


def test_a_suite_that_died_has_no_evidence_and_its_log(tmp_path: Path) -> None:
    """A log without a report: it began."""
    written(tmp_path, {"release.json": release(), "load.log": "Traceback\nMemoryError\n"})
    load = suites(tmp_path)["load"]
    assert (load.state, load.log) == ("no evidence", ["Traceback", "MemoryError"])


def test_only_what_failed_shows_its_log(tmp_path: Path) -> None:
    """Load was refused, smoke was not."""
    found = suites(refused(tmp_path))
    assert found["smoke"].log == []
    assert len(found["load"].log) == 43
    assert found["load"].log[-1] == "load: fail"


def test_a_good_report_of_a_suite_that_failed_shows_its_log(tmp_path: Path) -> None:
    """The gate refuses by the exit code too."""
    refusal = ["gate: smoke refused release r-1 (pass):", "  exit code 3, see smoke.log"]
    written(
        tmp_path,
        {
            "release.json": release(verdict="fail", outcome="refused", refusal=refusal),
            "smoke.json": report("smoke", smoke_checks(), 9),
            "smoke.log": "teardown failed\n",
            "load.log": "",
        },
    )
    assert suites(tmp_path)["smoke"].log == ["teardown failed"]


def test_a_verdict_that_contradicts_a_report_is_told(tmp_path: Path) -> None:
    """The page does not hide that its sources disagree."""
    failed = report("traffic", [check("lost while moving", 3, 0, verdict="fail")], 8)
    written(passed(tmp_path), {"traffic.json": failed})
    assert headline(read_evidence(tmp_path)).oddities == ["release.json says pass, traffic.json says fail."]


def test_sources_are_told_with_all_that_is_odd_about_them(tmp_path: Path) -> None:
    """Branch, uncommitted changes, and how far behind."""
    written(tmp_path, {"release.json": release(behind=1, reason="hotfix")})
    facts = dict(headline(read_evidence(tmp_path)).facts)
    assert (
        facts["Sources"] == "4cb1406a92d1+, branch main, with uncommitted changes, 1 commit behind upstream"
    )
    assert facts["Why"] == "hotfix"
    assert facts["When"] == "2026-11-24 12:40:31 UTC"


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-11-24T13:40:31+01:00", "2026-11-24 12:40:31 UTC"),
        ("2026-11-24T12:40:31", "2026-11-24 12:40:31 UTC"),
        ("2026-11-24T12:40:31.987654Z", "2026-11-24 12:40:31 UTC"),
    ],
)
def test_times_are_told_in_utc(tmp_path: Path, at: str, told: str) -> None:
    """Whatever zone they were written in."""
    written(tmp_path, {"release.json": release(at=at)})
    assert dict(headline(read_evidence(tmp_path)).facts)["When"] == told


def test_a_time_before_all_times_is_damage(tmp_path: Path) -> None:
    """It cannot be told in UTC."""
    written(tmp_path, {"release.json": release(at="0001-01-01T00:00:00+23:00")})
    assert "is not a time in UTC" in read_evidence(tmp_path).damaged[0].why


def test_readings_that_have_no_place_on_an_axis_are_gaps(tmp_path: Path) -> None:
    """Endless, not a number, below zero: the rest of the series is shown."""
    seconds = [
        {"t": t, "p50_ms": value} for t, value in enumerate([3.0, float("inf"), float("nan"), -1, 1e300])
    ]
    written(tmp_path, {"load.series.json": {"scenarios": [{"name": "steady", "seconds": seconds}]}})
    found = read_evidence(tmp_path)
    assert found.load
    assert [second.p50_ms for second in found.load.scenarios[0].seconds] == [3.0, None, None, None, None]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(file=st.sampled_from(RECORDS), data=st.data())
def test_a_file_cut_anywhere_is_read_or_named(tmp_path: Path, file: str, data: st.DataObject) -> None:
    """As if its writer was killed, or the disk had lost a byte."""
    whole = (passed(tmp_path) / file).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    (tmp_path / file).write_bytes(
        data.draw(st.sampled_from([whole[:at], whole[:at] + b"\xff" + whole[at + 1 :]]))
    )
    found = read_evidence(tmp_path)
    assert [damage.file for damage in found.damaged] == [file]
    assert len(suites(tmp_path)) == 4


def test_what_is_not_looked_at_stands_in_the_section(tmp_path: Path) -> None:
    """With its reason, as the suite gave it."""
    left_out: list[Any] = ["TLS: the address is http"]
    written(tmp_path, {"smoke.json": report("smoke", smoke_checks(), 9, left_out=left_out)})
    assert suites(tmp_path)["smoke"].left_out == left_out
    assert json.loads((tmp_path / "smoke.json").read_text())["left_out"] == left_out


def test_a_short_suite_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """The name that it gave itself stands with its figures."""
    written(tmp_path, {"smoke.json": report("smoke, short", smoke_checks()[:5], 1)})
    assert suites(tmp_path)["smoke"].tally == "smoke, short: 5 of 5 checks passed"
