"""Conditions on log lines: what fits, and what is said of one that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_kit import line, write_segment

from infra.collect_logs import SHARES, class_of
from runbook.errors import RunbookError
from runbook.log_query import QUERIES, parse
from runbook.log_segments import CLASSES
from runbook.log_table import LogTable


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LogTable:
    """Four lines, one with nothing but its message."""
    lines = (
        line("one", level="error", webhook=True, event="failed", attempt=2, reason='it said "no"'),
        line("two", webhook=True, event="verified", attempt=10),
        line("three", level="warning", webhook=False, durationMs=1500.5),
        '{"msg":"four","time":1}\n',
    )
    return LogTable([write_segment(tmp_path_factory.mktemp("logs"), "rest", *lines)], 0, 10**13)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('level="error" AND webhook=true AND event="failed"', "one"),
        ('level="error" OR level="warning"', "one three"),
        ('NOT level="error"', "two three four"),
        ('level!="error"', "two three four"),
        ("attempt>2", "two"),
        ("attempt>=2", "one two"),
        ("attempt<10", "one"),
        ("attempt<=10.0", "one two"),
        ("durationMs=1500.5", "three"),
        ("webhook=false", "three"),
        ("webhook!=true", "three four"),
        ('webhook="true"', "one two"),
        ('webhook="false"', "three"),
        ('attempt="10"', "two"),
        ('durationMs="1500.5" AND level="warning"', "three"),
        ('msg~"O"', "one two four"),
        ("attempt~0", "two"),
        (r'reason="it said \"no\""', "one"),
        ('webhook=true AND event="failed" OR msg="four"', "one four"),
        ('webhook=true AND (event="verified" OR msg="four")', "two"),
        ("not (webhook=true and not event=\"failed\")", "one three four"),
        ('nothing="x"', ""),
        ("nothing>5", ""),
        ('NOT nothing~"x"', "one two three four"),
        ("msg=\"'; DROP VIEW logs; --\"", ""),
    ],
)  # fmt: skip
def test_the_lines_that_fit(table: LogTable, condition: str, found: str) -> None:
    """A field that a line does not have equals nothing and contains nothing."""
    lines = table.select(parse(condition), 100).lines
    assert [
        name for name in ("one", "two", "three", "four") if any(name in text for text in lines)
    ] == found.split()


def test_no_word_of_a_condition_reaches_beyond_it(tmp_path: Path) -> None:
    """With OR, too, only lines of the time that is asked for come."""
    lines = (line("early", time=1, level="error"), line("asked for", time=5, level="error"))
    table = LogTable([write_segment(tmp_path, "rest", *lines)], 4, 6)
    found = table.select(parse('level="error" OR level="warning"'), 10)
    assert (found.count, found.unreadable) == (1, 0)
    assert "asked for" in found.lines[0]


@pytest.mark.parametrize(
    ("condition", "place", "hint"),
    [
        ("", 1, "a field"),
        ("level", 6, "should follow level"),
        ("level=error", 7, "should follow level="),
        ('level="error" event="x"', 15, "AND or OR"),
        ('level="error" AND AND', 19, "a field"),
        ('(level="error"', 15, "a ) is missing"),
        ('level="error', 7, "should follow level="),
        ('level="\\q"', 7, "backslash"),
        ("attempt=5x", 9, "should follow attempt="),
        ('level=="error"', 7, "should follow level="),
        ('le-vel="x"', 3, "should follow le"),
        ("(" * 5000, 5001, "a field"),
        ('level="error")', 14, "AND or OR"),
        ('level="error" OR ', 18, "a field"),
    ],
)
def test_where_a_condition_goes_wrong_is_said(condition: str, place: int, hint: str) -> None:
    """With what should stand there."""
    with pytest.raises(RunbookError) as raised:
        parse(condition)
    assert hint in raised.value.hint
    assert f"at character {place}," in raised.value.message


@given(st.text(alphabet="abAND OR()=\"~<>!5.-\\'\n", max_size=40))
def test_any_text_is_a_condition_or_an_error(table: LogTable, text: str) -> None:
    """And any condition is SQL."""
    try:
        condition = parse(text)
    except RunbookError:
        return
    table.select(condition, 1)


def test_too_many_brackets_are_an_error(table: LogTable) -> None:
    """Before DuckDB finds them; some are not."""
    for many in ("(" * 501 + "status=1" + ")" * 501, "NOT " * 501 + "status=1"):
        with pytest.raises(RunbookError, match="too many brackets"):
            parse(many)
    assert table.select(parse("(" * 250 + "NOT " * 250 + 'level="error"' + ")" * 250), 9).count == 1


LINES: dict[str, list[dict[str, object]]] = {
    "failed-webhooks": [
        {"webhook": True, "event": "failed", "level": "warning", "code": "malformed"},
        {"webhook": True, "event": "failed", "level": "error", "reason": "WAHA"},
        {"webhook": True, "event": "failed", "level": "warning", "outcome": "no_credit"},
    ],
    "rate-limit": [{"security": True, "action": "rate_limit", "webhook": True, "event": "failed"}],
    "slow": [{"msg": "Slow request detected", "status": each} for each in (0, 202, 408, 500)],
    "unauthorized": [
        {"security": True, "action": each, "webhook": True, "event": "failed"}
        for each in ("unauthorized", "invalid_signature", "stale_event")
    ],
    "invalid-signature": [{"security": True, "action": "invalid_signature"}],
    "errors": [
        {"level": "error"},
        {"level": "critical"},
        {"level": "error", "webhook": True, "event": "failed"},
    ],
}


@pytest.mark.parametrize("name", LINES)
def test_a_named_query_looks_where_its_lines_are(tmp_path: Path, name: str) -> None:
    """The collector puts each of them into a class that the query reads, and each fits."""
    lines = [line(str(fields.pop("msg", "hi")), **fields) for fields in map(dict, LINES[name])]  # type: ignore[arg-type]
    assert {class_of(fields) for fields in LINES[name]} <= set(QUERIES[name].classes)
    table = LogTable([write_segment(tmp_path, "rest", *lines, line("another"))], 0, 10**13)
    assert table.select(parse(QUERIES[name].condition), 100).count == len(lines)


def test_the_classes_are_the_collector_s() -> None:
    """It runs alone, so they are named twice."""
    assert set(CLASSES) == set(SHARES)


@pytest.mark.parametrize(
    ("condition", "texts"),
    [
        ('event="failed" AND webhook=true', {'failed"'}),
        ('event="failed" OR webhook=true', set()),
        ('NOT event="failed" AND role="web"', set()),
        ('(event="failed" OR level="error") AND role="web"', set()),
        ('(event="failed" AND level="error") AND role="web"', {'failed"', 'error"', 'web"'}),
        ('event!="failed" AND msg~"x" AND status=4', set()),
        (r'msg="a\"b" AND reason="ü"', set()),
        ('webhook="true" AND security="false" AND status="202" AND waitedMs="-1.5e3"', set()),
        ('requestId="07d1e3" AND msg="true story" AND ip="203.0.113.9"', {'07d1e3"', 'true story"'}),
    ],
)
def test_texts_that_every_line_has(condition: str, texts: set[str]) -> None:
    """Only what a line must have to fit, and what JSON writes in one way."""
    assert set(parse(condition).texts) == texts
