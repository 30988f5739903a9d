"""The monitors' containers and their files, as they lie beside: filled in for a stack."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jinja2

from infra.components.sizes import PROXY_MEMORY_MB, REDIS_MEMORY_MB
from infra.haproxy_config import WEB_PORT
from infra.stack_name import DEFAULT_STACK, name_stack

PROBES = 4
"""Of the health report, each time: by the jobs `health` and `services`."""


def _duration(seconds: float) -> str:
    """As Prometheus writes it: in whole milliseconds where it is no whole number of seconds."""
    return f"{seconds:.0f}s" if seconds == round(seconds) else f"{seconds * 1000:.0f}ms"


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
_FILES.filters |= {
    # JSON is YAML, but for its way of writing an emoji.
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "percent": "{:.0%}".format,
    "short": "{:g}".format,
    "duration": _duration,
}
_FILES.globals |= {
    "web_port": WEB_PORT,
    "redis_mb": REDIS_MEMORY_MB,
    "proxy_mb": PROXY_MEMORY_MB,
    "all_probes": PROBES,
}


def filled(name: str, stack: str, **values: object) -> str:
    """The file *name* with *values* where they stand between @ and braces; its commands name *stack*."""
    text = _FILES.get_template(name).render(stack=stack, **values)
    return text if stack == DEFAULT_STACK else name_stack(text, stack)


def containers(stack: str, **values: object) -> dict[str, dict[str, Any]]:
    """The monitors by role, as `containers.toml` describes them."""
    return tomllib.loads(filled("containers.toml", stack, **values))
