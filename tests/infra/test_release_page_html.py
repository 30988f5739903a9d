"""The page as HTML: well-formed, self-contained, escaped, legible, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from release_page_hostile import HOSTILE, everything_named, hostile
from release_page_kit import passed, refused, release, written
from release_page_outline import Outline
from release_page_series import load_series

from infra.errors import Refused
from infra.release_page import render

LANDMARKS = ["header", "h1", "main", "footer"]


def page(folder: Path) -> str:
    """The page that `render` writes for *folder*."""
    return render(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "of", [passed, refused, hostile, lambda folder: folder, lambda folder: everything_named(folder, HOSTILE)]
)
def test_a_page_is_well_formed(tmp_path: Path, of: Callable[[Path], Path]) -> None:
    """Every tag is closed in order, every id is there once, and the document says what it is."""
    html = page(of(tmp_path))
    outline = Outline.of(html)
    assert outline.problems == []
    assert len(outline.ids) == len(set(outline.ids))
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    body = outline.shape[outline.shape.index("body") :]
    assert [tag.partition(" ")[0] for tag in body if re.match(r"header|h1|main|footer", tag)] == LANDMARKS


@pytest.mark.parametrize("of", [passed, refused])
def test_a_page_loads_nothing(tmp_path: Path, of: Callable[[Path], Path]) -> None:
    """No address but places on itself, no script, no style from elsewhere."""
    html = page(of(tmp_path))
    outline = Outline.of(html)
    assert {target for target in outline.loads if not target.startswith("#")} == {"data:,"}
    assert {target[1:] for target in outline.loads if target.startswith("#")} <= set(outline.ids)
    assert not re.search(r"https?:|//\w|@import|url\(|<script|\son\w+=|\sstyle=", html)


def test_the_browser_is_told_to_take_nothing_else(tmp_path: Path) -> None:
    """The policy names the hash of the style sheet that is there, and allows no script at all."""
    html = page(passed(tmp_path))
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "script-src" not in policy[1]


def test_a_usual_page_is_small(tmp_path: Path) -> None:
    """Three scenarios of a minute with all suites: fit to be mailed."""
    assert render(passed(tmp_path)).stat().st_size <= 400_000


def test_a_soak_of_hours_stays_small(tmp_path: Path) -> None:
    """What is drawn follows from the plot's width, not from the run's length."""
    series = load_series()
    minute = series["scenarios"][0]["seconds"]
    long = [{**minute[t % 60], "t": t} for t in range(4 * 3600)]
    series["scenarios"] = [{"name": "soak", "start": None, "seconds": long}]
    written(passed(tmp_path), {"load.series.json": series})
    assert render(tmp_path).stat().st_size <= 400_000
    assert "14,400 seconds are too many for a table" in page(tmp_path)


def test_a_refusal_stands_before_all_suites(tmp_path: Path) -> None:
    """Each of its lines, and in the suite what failed before what passed."""
    html = page(refused(tmp_path))
    why, nav, load = html.index("Why it was refused"), html.index("<nav"), html.index('<section id="load"')
    assert why < nav < load
    assert "gate: load refused release r-41c09be (fail):" in html[why:nav]
    assert "  error rate: fail: 0.0333333, limit 0.01" in html[why:nav]
    of_load = html[load:]
    assert of_load.index("error rate") < of_load.index("sent on time")


def test_a_verdict_is_a_word_and_a_mark(tmp_path: Path) -> None:
    """Never a colour alone; each has a mark of its own."""
    html = page(refused(tmp_path))
    marks = dict(re.findall(r'class="verdict ([\w-]+)"><svg class="mark"[^>]+><path d="([^"]+)"', html))
    words = set(re.findall(r'class="verdict ([\w-]+)">.*?</svg>([\w ]+)</span>', html))
    assert set(marks) == {"pass", "fail", "not-run"}
    assert len(set(marks.values())) == 3
    assert words == {("pass", "pass"), ("fail", "fail"), ("not-run", "not run")}


def test_tables_and_plots_can_be_heard(tmp_path: Path) -> None:
    """Headers have their scope, tables a caption, plots a name and a description."""
    html = page(passed(tmp_path))
    assert "<th>" not in html
    assert all("scope=" in head for head in re.findall(r"<th [^>]*>", html))
    assert len(re.findall("<table", html)) == len(re.findall("<caption", html))
    plots = re.findall(
        r'<svg viewBox="0 0 380 200" role="img" aria-labelledby="([^"]+)" aria-describedby="([^"]+)">', html
    )
    assert len(plots) == 11
    ids = Outline.of(html).ids
    assert all(name in ids and description in ids for name, description in plots)
    assert "Over 59 s. p50: " in html


def test_headings_go_down_step_by_step(tmp_path: Path) -> None:
    """One h1, and no level is left out."""
    levels = [int(level) for level in re.findall(r"<h([1-6])\b", page(passed(tmp_path)))]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_what_was_measured_is_on_the_page(tmp_path: Path) -> None:
    """Figures with their limits, what was left out, the comparison with the live release."""
    text = Outline.of(page(passed(tmp_path))).text
    for shown in (
        "Release r-3f2a9c1 went live",
        "2026-11-24 12:40:31 UTC",
        "limit 500 ms",
        "25 of 25 checks passed in 9.8 s",
        "logs: no --logs-command",
        "Candidate against live",
        "Memory of worker",
        "Scenario duplicates",
    ):
        assert shown in text


def test_a_page_is_replaced_whole(tmp_path: Path) -> None:
    """Rendering again takes the old page's place and leaves nothing beside it."""
    passed(tmp_path)
    assert render(tmp_path) == tmp_path / "index.html"
    (tmp_path / "index.html.part").write_text("of a render that was killed")
    for outcome, said in (("testing", "is being tested"), ("not judged", "was not judged")):
        written(tmp_path, {"release.json": release(outcome=outcome)})
        assert said in page(tmp_path)
    assert not (tmp_path / "index.html.part").exists()


def test_a_page_that_cannot_be_replaced_stays_as_it_is(tmp_path: Path) -> None:
    """The refusal names it, and no half of a page is left."""
    (tmp_path / "index.html").mkdir()
    with pytest.raises(Refused, match=r"index\.html cannot be written: Is a directory") as told:
        render(tmp_path)
    assert "writable" in told.value.hint
    assert not (tmp_path / "index.html.part").exists()


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    """In words, not with a traceback."""
    folder = tmp_path / "release"
    if kind == "file":
        folder.write_text("")
    with pytest.raises(Refused, match=r"release/index\.html cannot be written"):
        render(folder)


def test_the_same_folder_gives_the_same_page(tmp_path: Path) -> None:
    """Nothing but the files is in it: no time of rendering, no machine."""
    first = page(passed(tmp_path))
    assert page(tmp_path) == first
    assert str(tmp_path) not in first
