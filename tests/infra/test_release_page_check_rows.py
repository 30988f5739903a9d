"""Checks as rows: what stops a release comes first, and bars show where a value stands."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_page_kit import check

from contracts.verdict import Report
from infra.release_page.check_rows import bar, row, rows
from infra.release_page.key_figures import key_figures


def test_failed_checks_come_first() -> None:
    """Then those without evidence; checks of one verdict stay in their order."""
    verdicts = {"a": "pass", "b": "no evidence", "c": "fail", "d": "pass", "e": "fail"}
    checks = [check(name, 1, 2, verdict=verdict) for name, verdict in verdicts.items()]
    assert [found.name for found in rows(checks)] == ["c", "e", "b", "a", "d"]


def test_value_and_limit_are_in_one_measure() -> None:
    """Both in per cent, or both in the unit."""
    rate, time = row(check("error rate", 0.0501, 0.01)), row(check("p95", 7.649, 500, unit="ms"))
    assert (rate.value, rate.limit) == ("5.01 %", "1 %")
    assert (time.value, time.limit, time.samples) == ("7.65 ms", "500 ms", "3,000")


@pytest.mark.parametrize(
    ("value", "limit", "filled", "at", "label"),
    [
        (250, 500, 0.5, 1.0, "50 % of the limit"),
        (4000, 500, 1.0, 0.125, "8 times the limit"),
        (1.0, 0.95, 1.0, 0.95, "105 % of the limit"),
        (1, 100_000, 0.012, 1.0, "0 % of the limit"),
        (0, 500, 0.0, 1.0, "0 % of the limit"),
        (3, 0, 1.0, 0.0, "above a limit of 0"),
        (1e9, 1, 1.0, 1e-9, "far above the limit"),
    ],
)
def test_a_bar_is_the_value_with_a_mark_at_the_limit(
    value: float, limit: float, filled: float, at: float, label: str
) -> None:
    """The larger of both is the whole; what is above nothing can be seen."""
    drawn = bar(value, limit)
    assert drawn
    assert (drawn.filled, drawn.limit, drawn.label) == (pytest.approx(filled), pytest.approx(at), label)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (0, 0),
        (None, 5),
        ("up", "up"),
        (401, "401"),
        (-1, 5),
        (5, -1),
        (math.nan, 5),
        (5, math.nan),
        (math.inf, 5),
    ],
)
def test_no_bar_where_nothing_can_be_compared(value: float | str | None, limit: float | str | None) -> None:
    """Words, gaps, nothing against nothing, and numbers that are no amounts."""
    assert bar(value, limit) is None


@given(st.floats(), st.floats())
def test_a_bar_never_leaves_its_track(value: float, limit: float) -> None:
    """Whatever the numbers are."""
    drawn = bar(value, limit)
    assert drawn is None or (0 <= drawn.filled <= 1 and 0 <= drawn.limit <= 1 and len(drawn.label) < 40)


def test_key_figures_are_those_that_were_measured() -> None:
    """In a fixed order, whatever order the report has."""
    checks = [
        check("reply p95", 15.7, 3000, unit="ms"),
        check("error rate", 0, 0.01),
        check("burst: lost", 0, 0),
    ]
    report = Report.of("load", checks, 20)
    assert [figure.name for figure in key_figures(report)] == ["error rate", "reply p95"]
    assert key_figures(None) == []
