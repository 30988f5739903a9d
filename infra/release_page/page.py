"""`render`: from a release's folder to its page."""

from __future__ import annotations

import contextlib
from pathlib import Path

from infra.errors import Refused
from infra.release_page.against_live import comparison
from infra.release_page.evidence import Evidence, read_evidence
from infra.release_page.headline import headline
from infra.release_page.html import View, html
from infra.release_page.key_figures import key_figures
from infra.release_page.sections import sections

PAGE = "index.html"


def render(folder: Path) -> Path:
    """Write the page of what lies in *folder* to `folder/index.html`, whole or not at all; the page's path.

    Any file may be missing or damaged: the page says so.

    Raises:
        Refused: the page cannot be written.
    """
    return _write(folder / PAGE, page(read_evidence(folder)))


def page(found: Evidence) -> str:
    """The page as HTML."""
    load = found.reports.get("load")
    return html(
        View(
            head=headline(found),
            key_figures=key_figures(load),
            against_live=comparison(load, found.load),
            sections=sections(found),
        )
    )


def _write(file: Path, text: str) -> Path:
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise Refused(
            f"the release's page {file} cannot be written: {error.strerror}",
            "see that the folder exists and is writable, and that its disk has room",
        ) from error
    return file
