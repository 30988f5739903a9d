"""The configuration files beside, filled in."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2

# Not in Jinja's own braces: the monitors' templates have those.
_FILES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    variable_start_string="@{",
    variable_end_string="}",
    line_statement_prefix="@@",
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - it is YAML
)
# JSON is YAML, but for its way of writing an emoji.
_FILES.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
_FILES.filters["percent"] = "{:.0%}".format
_FILES.filters["short"] = "{:g}".format


def filled(name: str, **values: object) -> str:
    """The file *name* with *values* where they stand between @ and braces; lines with @@ are conditions."""
    return _FILES.get_template(name).render(values)
