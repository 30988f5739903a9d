"""What stands in a file is text on the page, whatever it is."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from release_page_hostile import HOSTILE, everything_named
from release_page_kit import check, report, written
from release_page_outline import Outline

from infra.release_page import render
from infra.release_page.html import printable

ANY_NUMBER = st.none() | st.floats() | st.integers(-(10**20), 10**20)
FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def page(folder: Path) -> str:
    """The page that `render` writes for *folder*."""
    return render(folder).read_text(encoding="utf-8")


def test_text_from_files_is_never_markup(tmp_path: Path) -> None:
    """Whatever stands there, the page has the tags and attributes that it has with plain words."""
    hostile = Outline.of(page(everything_named(tmp_path, HOSTILE)))
    assert hostile.shape == Outline.of(page(everything_named(tmp_path, "plain"))).shape
    assert hostile.text.count(printable(HOSTILE.partition("\x1b")[0])) > 50


@FOLDER
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    | st.text("<>&\"'`=/! -", min_size=1)
)
def test_no_text_is_markup(tmp_path: Path, text: str) -> None:
    """Generated ones neither; and none of it is invisible or turns the text around."""
    assume("against live" not in text)  # a name that means something
    html = page(everything_named(tmp_path, f"~{text}"))
    assert Outline.of(html).shape == Outline.of(page(everything_named(tmp_path, "plain"))).shape
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", html)


@FOLDER
@given(
    values=st.lists(st.tuples(ANY_NUMBER, ANY_NUMBER), min_size=1, max_size=8),
    times=st.lists(st.floats(0, 1e8), max_size=40),
)
def test_no_number_breaks_a_page(
    tmp_path: Path, values: list[tuple[float | None, float | None]], times: list[float]
) -> None:
    """Endless, not a number, huge, in any order: the page is whole."""
    checks = [check("webhook p95", value, limit, unit="ms") for value, limit in values]
    amounts = [value for pair in values for value in pair]
    fields = ("sent", "failed", "p50_ms", "p95_ms", "max_ms", "reply_p95_ms", "baseline_p50_ms")
    seconds = [
        {"t": t, **{field: amounts[(n + k) % len(amounts)] for k, field in enumerate(fields)}}
        for n, t in enumerate(times)
    ]
    samples = [{"t": t, "memory_mb": amounts[n % len(amounts)]} for n, t in enumerate(times)]
    container = {"name": "web", "role": "web", "samples": samples, "limit_mb": amounts[0]}
    written(
        tmp_path,
        {
            "load.json": report("load", checks, 1e9),
            "load.series.json": {"scenarios": [{"name": "steady", "seconds": seconds}]},
            "containers.series.json": {"containers": [container]},
        },
    )
    html = page(tmp_path)
    assert Outline.of(html).problems == []
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    assert "is damaged" not in html
