"""The answer of `GET /api/health`: its shape (`health.schema.json`), and what a release must say in it."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).with_name("health.schema.json")
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))

SERVICES: tuple[str, ...] = tuple(SCHEMA["properties"]["services"]["required"])

CRITICAL = frozenset({"database", "redis", "waha"})
"""Without one of these no message is answered: it must be `up`, while the others must only not be `down`."""

_LONGEST_MESSAGE = 160


def shape_problems(answer: object) -> list[str]:
    """Where *answer*, a decoded body, is not what the schema says, one line each; empty if nowhere."""
    errors = sorted(_validator().iter_errors(answer), key=lambda error: str(error.json_path))
    return [f"{_place(error.json_path)}: {_in_one_line(error.message)}" for error in errors]


def allowed_states(service: str) -> tuple[str, ...]:
    """The statuses that *service* may have in a release that gets traffic."""
    return ("up",) if service in CRITICAL else ("up", "configured", "not_configured")


@cache
def _validator() -> Any:
    """Made when it is needed: it takes longer to import than a short smoke run has."""
    from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

    formats = FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(_is_time)
    return Draft202012Validator(SCHEMA, format_checker=formats)


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _place(json_path: str) -> str:
    return json_path.removeprefix("$").removeprefix(".") or "the answer"


def _in_one_line(message: str) -> str:
    """What is wrong, cut off where it quotes a long value."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"
