"""What can be asked of a stack's log lines: queries by name, and conditions in the runbook's own form.

    level="error" AND webhook=true AND (event="failed" OR NOT reason~"timeout")

A condition becomes SQL with parameters. A field that a line does not have equals nothing; `~` is "contains".
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import RunbookError
from runbook.log_segments import CLASSES

_OPENING = re.compile(r"\s*(NOT\b|\()", re.IGNORECASE)
_JOINING = re.compile(r"\s*(AND\b|OR\b|\))", re.IGNORECASE)
_COMPARISON = re.compile(
    r"""\s*(?P<field>(?!(?i:AND|OR|NOT)\b)[A-Za-z_]\w*)\s*(?:(?P<operator>!=|>=|<=|[=><~])\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?![\w.])|(?:true|false)\b)?)?"""
)
_MAX_NESTED = 500
"""DuckDB takes 1000, and then speaks of its own settings."""
_PLAIN = re.compile(r'"(?!(?:true|false|-?\d[\d.eE+-]*)")[\w .:-]*"', re.ASCII)
"""Strings that JSON writes in one way only, with their quotes: a line may have true or 5 without."""


@dataclass(frozen=True)
class Condition:
    """Which lines: SQL about the JSON object `line`; its parameters in order.

    `texts`: a line that fits has each of them somewhere; those that have not need not be taken apart.
    """

    sql: str = "true"
    values: tuple[object, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedQuery:
    """A question that is asked often, as `log_queries.toml` describes it."""

    about: str
    hours: int
    condition: str = ""
    classes: Sequence[str] = CLASSES
    example: str = ""


_FILE = Path(__file__).with_name("log_queries.toml")
QUERIES = {name: NamedQuery(**told) for name, told in tomllib.loads(_FILE.read_text("utf-8")).items()}
NEWEST = NamedQuery("all lines", 1)
CONDITION = NamedQuery("lines that fit", 24, example='\'level="error" AND webhook=true AND event="failed"\'')


def listing() -> list[str]:
    """A line for each query: how it is typed, and what it gives."""
    typed = {each.example or name: each.about for name, each in QUERIES.items()}
    typed |= {"": NEWEST.about, CONDITION.example: CONDITION.about}
    return [f"  bin/runbook logs {words:<18} {about}" for words, about in typed.items()]


def parse(text: str) -> Condition:
    """The condition that *text* is.

    Raises:
        RunbookError: it is none; says where, and what should stand there.
    """
    sql: list[str] = []
    values: list[object] = []
    needed: list[str] = []
    place = depth = 0
    is_open = True  # a comparison should follow
    while is_open or text[place:].strip():
        if word := (_OPENING if is_open else _JOINING).match(text, place):
            sql.append(word[1].upper())
            depth += {"(": 1, ")": -1}.get(word[1], 0)
            is_open = word[1] != ")"
        elif is_open:
            word = _comparison(text, place)
            sql.append(_sql(word))
            values.append(_value(word))
            if word["operator"] == "=" and _PLAIN.fullmatch(word["value"]):
                needed.append(word["value"][1:])  # lines are full of quotes: none is looked for first
            is_open = False
        if word is None or depth < 0:
            raise _wrong(text, place, "AND or OR should stand here")
        place = word.end()
    if depth:
        raise _wrong(text, place, "a ) is missing")
    if sql.count("(") + sql.count("NOT") > _MAX_NESTED:
        raise RunbookError("the query has too many brackets", "SQL may say it: `bin/runbook logs sql`")
    return Condition(" ".join(sql), tuple(values), () if {"OR", "NOT"} & {*sql} else tuple(needed))


def _comparison(text: str, place: int) -> re.Match[str]:
    found = _COMPARISON.match(text, place)
    if found is None:
        raise _wrong(text, place, 'a field should stand here, as in level="error"')
    field, operator, value = found.group("field", "operator", "value")
    if operator is None:
        raise _wrong(text, found.end(), f"one of = != > < >= <= ~ should follow {field}")
    if value is None:
        raise _wrong(
            text,
            found.end(),
            f'a string in ", a number, true or false should follow {field}{operator}; in the shell '
            "the whole condition stands in single quotes",
        )
    return found


def _sql(comparison: re.Match[str]) -> str:
    """Never NULL: a line that lacks the field does not fit, and fits where that is asked with NOT."""
    field, operator, value = comparison.group("field", "operator", "value")
    text = f"(line->>'{field}')"  # a word: nothing to quote
    if operator == "~":
        return f"(contains(lower({text}), lower(?)) IS TRUE)"
    if value[0] in "-0123456789":
        text = f"TRY_CAST({text} AS DOUBLE)"
    return f"({text} IS DISTINCT FROM ?)" if operator == "!=" else f"(({text} {operator} ?) IS TRUE)"


def _value(comparison: re.Match[str]) -> object:
    """What the field is compared with. `~` and true compare with what stands in the line."""
    operator, value = comparison.group("operator", "value")
    if value[0] == '"':
        try:
            return json.loads(value)
        except ValueError:
            hint = 'a backslash stands before a " or another one'
            raise _wrong(comparison.string, comparison.start("value"), hint) from None
    return value if operator == "~" or value in ("true", "false") else float(value)


def _wrong(text: str, place: int, hint: str) -> RunbookError:
    place = len(text) - len(text[place:].lstrip())
    word = re.match(r'"[^"]*"|\w+|\S', text[place:])
    what = repr(word[0]) if word else "the end"
    return RunbookError(f"the query cannot be understood at character {place + 1}, {what}: {text}", hint)
