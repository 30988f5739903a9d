"""The page's template filled in: all that comes from files is escaped and made visible."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from infra.release_page import plot
from infra.release_page.against_live import Comparison
from infra.release_page.check_rows import Row
from infra.release_page.headline import Headline
from infra.release_page.sections import Section

_FOLDER = Path(__file__).parent

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tab and line feed
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # reverses the order in which text is read
    "\ud800-\udfff\ufffe\uffff]"  # no characters, and no UTF-8
)


@dataclass(frozen=True)
class View:
    """What the page shows, from its top to its foot."""

    head: Headline
    key_figures: list[Row]
    against_live: Comparison | None
    sections: list[Section]


def html(view: View) -> str:
    """The page that shows *view*."""
    return fill(_FOLDER / "page.html", view=view)


def fill(template: Path, **values: Any) -> str:
    """A page of *template*, in which stand *values*, the style sheet and what `parts.html` has."""
    css = (_FOLDER / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    # The style sheet is ours. The browser is told its hash, and to take no other style, script or file.
    safe_css = Markup(css)  # noqa: S704
    return _template(template).render(plot=plot, css=safe_css, css_hash=digest, **values)


def printable(value: Any) -> Any:
    """*value* with a sign of its own for each character that has none or that turns text around."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _INVISIBLE.sub("\ufffd", value)
    return value


@functools.cache
def _template(file: Path) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_FOLDER, file.parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(file.name)
