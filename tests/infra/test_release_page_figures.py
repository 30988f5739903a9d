"""Numbers are short, exact enough, and never wrong by orders of magnitude."""

from __future__ import annotations

import datetime
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.release_page.figures import NONE, are_shares, count, figure, moment, number, share, span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.649, "7.65"),
        (15.742, "15.7"),
        (183.44, "183"),
        (4012, "4,012"),
        (3000.0, "3,000"),
        (0, "0"),
        (-0.0, "0"),
        (0.0021, "0.0021"),
        (0.000123456, "0.000123"),
        (99.97, "100"),
        (9.996, "10"),
        (-2.5, "-2.5"),
        (1e-7, "1.00e-07"),
        (1e300, "1.00e+300"),
        (math.inf, "endless"),
        (-math.inf, "-endless"),
        (math.nan, "not a number"),
    ],
)
def test_a_number_has_three_digits(value: float, text: str) -> None:
    """Whole numbers are whole; nothing is padded."""
    assert number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_number_is_read_as_what_it_is(value: float) -> None:
    """What is written is within half a per cent of the value, and short."""
    text = number(value)
    assert len(text) <= 14
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=0.005)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0501, "5.01 %"), (1, "100 %"), (0.95, "95 %"), (0.00012, "0.012 %"), (0, "0 %")]
)
def test_a_share_is_in_per_cent(value: float, text: str) -> None:
    """With the same three digits."""
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "limit", "unit", "shares"),
    [
        (0.0501, 0.01, "", True),
        (None, 0.01, "", True),
        (1.04, 1.25, "", False),  # a ratio
        (200.0, "200", "", False),  # a status
        (0, 0, "", False),  # a count
        (0.51, 1, "s", False),
        (3, 0.5, "", False),
        ("live is failing", 1, "", False),
    ],
)
def test_what_is_a_share(value: float | str | None, limit: float | str, unit: str, shares: bool) -> None:
    """No unit, and a value and a limit that do not go beyond all."""
    assert are_shares(value, limit, unit) is shares


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "ms", NONE), (7.649, "ms", "7.65 ms"), ("at least 1", "", "at least 1")],
)
def test_a_figure_has_its_unit(value: float | str | None, unit: str, text: str) -> None:
    """Where there is none, there is a dash and no unit."""
    assert figure(value, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (9.84, "9.84 s"),
        (60, "1 min"),
        (184.2, "3 min 4 s"),
        (7500, "2 h 5 min"),
        (3605, "1 h 5 s"),
        (math.inf, "endless s"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, text: str) -> None:
    """The largest ones that are not nothing."""
    assert span(seconds) == text


def test_a_moment_is_in_utc() -> None:
    """To the second."""
    assert moment(datetime.datetime(2026, 11, 24, 12, 40, 31, 999, datetime.UTC)) == "2026-11-24 12:40:31 UTC"


def test_one_is_not_many() -> None:
    """A count agrees with its noun."""
    assert (count(1, "check"), count(1200, "check")) == ("1 check", "1,200 checks")
