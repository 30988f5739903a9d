"""The page in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import functools
import http.server
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from debian_programs import need
from in_thread import answering
from release_page_browser import Browser
from release_page_hostile import hostile
from release_page_kit import (
    passed,
    refused,
)
from release_page_picture import Colour, colours

from infra.release_page import render

pytestmark = pytest.mark.integration

Folder = Callable[[Path], Path]
PHONE = (390, 844)
WIDTHS = (320, 390, 820, 1200)
FRAMES = """<!DOCTYPE html><title></title><script>
function measure(page) {
  for (const folded of page.document.querySelectorAll("details")) folded.open = true;
  document.title += ` ${page.innerWidth}:${page.document.documentElement.scrollWidth}`;
}
</script>""" + "\n".join(
    f'<iframe src="index.html" width="{width}" height="800" frameborder="0" onload="measure(contentWindow)">'
    "</iframe>"
    for width in WIDTHS
)
"""Frames can have any width: a window of Chromium's has at least 500 pixels."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Chromium, installed where it is missing."""
    need("chromium")
    return Browser(tmp_path_factory.mktemp("browser"))


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """*folder* over HTTP on this machine: its address, and the paths that are asked for."""
    asked: list[str] = []

    class Noting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = functools.partial(Noting, directory=str(folder))
    with answering(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url, asked


def title(dom: str) -> str:
    """The document's title as the browser has it."""
    found = re.search(r"<title>(.*?)</title>", dom)
    assert found
    return found[1]


def rgb(colour: str) -> Colour:
    """`#rrggbb` as three numbers."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def test_the_figures_are_in_the_document(browser: Browser, tmp_path: Path) -> None:
    """As the browser has built it, without a word on its console."""
    seen = browser.look(render(passed(tmp_path)).as_uri())
    assert title(seen.dom) == "Release r-3f2a9c1 went live"
    assert seen.console == []
    for shown in (
        "500 ms",
        "2026-11-24 12:40:31 UTC",
        "Scenario burst",
        "Memory of worker",
        "25 of 25 checks passed",
    ):
        assert shown in seen.dom
    assert len(re.findall(r'<path class="line p95" d="M', seen.dom)) == 3 * 2 * 2  # drawn, and in the legend


@pytest.mark.parametrize("of", [passed, refused, hostile])
def test_nothing_is_fetched(browser: Browser, tmp_path: Path, of: Folder) -> None:
    """The page is all that is asked for: not even an icon."""
    render(of(tmp_path))
    with served(tmp_path) as (address, asked):
        seen = browser.look(f"{address}/index.html")
    assert seen.asked_for == []
    assert asked == ["/index.html"]


def test_a_page_that_fetches_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    """The two ways of noticing see what they are for: one other hosts, the other this one."""
    (tmp_path / "index.html").write_text(
        '<!DOCTYPE html><title>x</title><link rel="stylesheet" href="x.css"><img src="http://example.org/x.png">'
    )
    with served(tmp_path) as (address, asked):
        seen = browser.look(f"{address}/index.html")
    assert "http://example.org/x.png" in seen.asked_for
    assert "/x.css" in asked


def test_hostile_words_stay_words(browser: Browser, tmp_path: Path) -> None:
    """No script of theirs has run, no element of theirs is there, the title is what it was."""
    seen = browser.look(render(hostile(tmp_path)).as_uri())
    assert title(seen.dom).startswith("Release &lt;/title&gt;&lt;/style&gt;")
    assert "<script" not in seen.dom
    assert "<img" not in seen.dom
    assert seen.console == []


def test_markup_that_got_through_could_do_nothing(browser: Browser, tmp_path: Path) -> None:
    """Were escaping ever forgotten, the page's policy still runs no script and loads no picture."""
    file = render(passed(tmp_path))
    script = "<script>document.title = 'owned'</script>"
    image = '<img src="http://example.org/x.png" onerror="document.title = \'owned\'">'
    file.write_text(file.read_text().replace("</main>", f"{script}{image}</main>"))
    seen = browser.look(file.as_uri())
    assert title(seen.dom) == "Release r-3f2a9c1 went live"
    assert seen.asked_for == []
    assert any("Content Security Policy" in line for line in seen.console)


@pytest.mark.parametrize("of", [passed, refused, hostile, lambda folder: folder])
def test_no_page_scrolls_sideways(browser: Browser, tmp_path: Path, of: Folder) -> None:
    """On a phone or a desk, with all that is folded opened, whatever long words are on it."""
    render(of(tmp_path))
    (tmp_path / "frames.html").write_text(FRAMES)
    with served(tmp_path) as (address, _):
        seen = browser.look(f"{address}/frames.html")
    assert sorted(title(seen.dom).split()) == sorted(f"{width}:{width}" for width in WIDTHS)


@pytest.mark.parametrize(
    ("of", "more", "paper", "stripe"),
    [
        (passed, [], "#f6f7f9", "#14693a"),
        (refused, [], "#f6f7f9", "#ab1f16"),
        (refused, ["--force-dark-mode"], "#10151c", "#ff9a90"),
    ],
    ids=["passed", "refused", "refused, dark"],
)
def test_a_screenshot_shows_the_verdict(
    browser: Browser, tmp_path: Path, of: Folder, more: list[str], paper: str, stripe: str
) -> None:
    """It is not blank: paper, sheets and text, with a stripe in the verdict's colour, light and dark."""
    picture = browser.screenshot(render(of(tmp_path)).as_uri(), tmp_path / "page.png", *PHONE, *more)
    found = colours(picture)
    assert found.total() == PHONE[0] * PHONE[1]
    assert found[rgb(paper)] > 5_000
    assert found[rgb(stripe)] > 3 * 300
    assert len(found) > 100


def test_the_lines_of_plots_are_drawn(browser: Browser, tmp_path: Path) -> None:
    """Candidate, live release and limit are on the picture in their colours."""
    html = render(passed(tmp_path)).read_text()
    only = "</style><style>.head, main > :not(#load), nav { display: none }</style>"
    picture = tmp_path / "load.png"
    shown = tmp_path / "load.html"
    shown.write_text(re.sub(r"<meta http-equiv[^>]+>", "", html).replace("</style>", only))
    found = colours(browser.screenshot(shown.as_uri(), picture, 800, 700))
    for line in ("#0b5cc0", "#b1560f", "#ab1f16"):
        assert found[rgb(line)] > 100, line


def test_a_page_can_be_printed(browser: Browser, tmp_path: Path) -> None:
    """On a few sheets, folded checks and all."""
    paper = tmp_path / "page.pdf"
    browser.look(render(refused(tmp_path)).as_uri(), f"--print-to-pdf={paper}")
    sheets = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 3 <= sheets <= 10
