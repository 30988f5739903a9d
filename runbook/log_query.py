"""What can be asked of a stack's log lines: queries by name, and conditions in the runbook's own form.

    level="error" AND webhook=true AND (event="failed" OR NOT reason~"timeout")

A condition becomes SQL with parameters. A field that a line does not have equals nothing; `~` is "contains".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from runbook.errors import RunbookError

CLASSES = ("rest", "webhooks", "refusals", "received")
"""The collector's, each a folder: `infra/collect_logs.py`."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<operator>!=|>=|<=|[=><~])|(?P<bracket>[()])|(?P<end>$)|(?P<wrong>\S))"""
)
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
    """A question that is asked often: over how long by default, and which classes have its lines."""

    about: str
    condition: str
    hours: int
    classes: tuple[str, ...] = CLASSES
    example: str = ""


_NOT_GATE = 'lane!="gate"'
"""What the gate of a release sends is refused on purpose."""

QUERIES = {
    "failed-webhooks": NamedQuery(
        "webhooks that were refused, messages that failed",
        f'webhook=true AND event="failed" AND {_NOT_GATE}',
        1,
    ),
    "rate-limit": NamedQuery(
        "addresses that sent too much",
        f'security=true AND action="rate_limit" AND {_NOT_GATE}',
        24,
        ("refusals",),
    ),
    "slow": NamedQuery("requests of more than 1 s", 'msg="Slow request detected"', 24, ("rest", "refusals")),
    "unauthorized": NamedQuery(
        "no signature, a wrong one, a stale event",
        'security=true AND (action="unauthorized" OR action="invalid_signature" OR action="stale_event") '
        f"AND {_NOT_GATE}",
        24,
        ("refusals",),
    ),
    "invalid-signature": NamedQuery(
        "signatures that do not fit",
        f'security=true AND action="invalid_signature" AND {_NOT_GATE}',
        24,
        ("refusals",),
    ),
    "errors": NamedQuery(
        "level error and above, tracebacks",
        'level="error" OR level="critical" OR level="fatal"',
        24,
        ("rest",),
    ),
    "request": NamedQuery("all about one request", "requestId={}", 14 * 24, example="request ID"),
    "sql": NamedQuery(
        "SQL on the view `logs`", "", 24, example="sql 'SELECT msg, count(*) FROM logs GROUP BY 1'"
    ),
}
NEWEST = NamedQuery("all lines", "", 1)
CONDITION = NamedQuery(
    "lines that fit", "", 24, example='\'level="error" AND webhook=true AND event="failed"\''
)


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
    try:
        return _Parser(text).condition()
    except RecursionError:
        raise RunbookError(
            "the query has too many brackets", "SQL may say it: `bin/runbook logs sql`"
        ) from None


class _Parser:
    """Recursive descent: OR of ANDs of comparisons, NOTs and brackets."""

    def __init__(self, text: str) -> None:
        self._text, self._values = text, list[object]()
        self._needed: list[str] = []  # the texts of comparisons that all lines have to fit
        self._depth = 0  # within how many OR, NOT and brackets
        self._tokens = [(str(each.lastgroup), each) for each in _TOKEN.finditer(text)]
        self._at = 0

    def condition(self) -> Condition:
        sql = self._any()
        if self._peek()[0] != "end":
            raise self._wrong("AND or OR should stand here")
        return Condition(sql, tuple(self._values), tuple(self._needed))

    def _any(self) -> str:
        parts = [self._all()]
        while self._took("OR"):
            parts.append(self._all())
            if not self._depth:
                self._needed.clear()
        return f"({' OR '.join(parts)})"

    def _all(self) -> str:
        parts = [self._one()]
        while self._took("AND"):
            parts.append(self._one())
        return f"({' AND '.join(parts)})"

    def _one(self) -> str:
        if self._took("NOT"):
            self._depth += 1
            inner = self._one()
            self._depth -= 1
            return f"({inner} IS NOT TRUE)"  # nor does a line fit that lacks the field
        if self._took("("):
            self._depth += 1
            inner = self._any()
            self._depth -= 1
            if not self._took(")"):
                raise self._wrong("a ) is missing")
            return inner
        return self._comparison()

    def _comparison(self) -> str:
        field = self._next("word", 'a field should stand here, as in level="error"')
        operator = self._next("operator", f"one of = != > < >= <= ~ should follow {field}")
        kind, literal, _ = self._peek()
        text = f"(line->>'{field}')"  # a word: nothing to quote
        value: object
        if kind == "string":
            try:
                value = json.loads(literal)
            except ValueError:
                raise self._wrong('a backslash stands before a " or another one') from None
        elif kind == "number" and operator != "~":
            text, value = f"TRY_CAST({text} AS DOUBLE)", float(literal)
        elif kind == "number" or literal in ("true", "false"):
            value = literal
        else:
            raise self._wrong(
                f'a string in ", a number, true or false should follow {field}{operator}; in the shell '
                "the whole condition stands in single quotes"
            )
        self._at += 1
        self._values.append(value)
        if operator == "=" and not self._depth and _PLAIN.fullmatch(literal):
            self._needed.append(literal)
        if operator == "~":
            return f"contains(lower({text}), lower(?))"
        return f"({text} {'IS DISTINCT FROM' if operator == '!=' else operator} ?)"

    def _peek(self) -> tuple[str, str, int]:
        """The next token: its kind, its text, its place."""
        kind, found = self._tokens[min(self._at, len(self._tokens) - 1)]
        return kind, found[kind], found.start(kind)

    def _took(self, word: str) -> bool:
        kind, found, _ = self._peek()
        if kind not in ("word", "bracket") or found.upper() != word:
            return False
        self._at += 1
        return True

    def _next(self, kind: str, otherwise: str) -> str:
        found, text, _ = self._peek()
        if found != kind or text.upper() in ("AND", "OR", "NOT"):
            raise self._wrong(otherwise)
        self._at += 1
        return text

    def _wrong(self, hint: str) -> RunbookError:
        _, found, place = self._peek()
        what = f"{found!r}" if found else "the end"
        return RunbookError(
            f"the query cannot be understood at character {place + 1}, {what}: {self._text}", hint
        )
