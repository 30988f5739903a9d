from __future__ import annotations

import pytest

from runbook.tables import cell, moment, show_table, span


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, None),
        (0, "0 s"),
        (999, "0 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_199_000, "119 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
        (86_400_000 * 400, "400 d"),
    ],
)
def test_a_span_is_in_the_largest_unit_that_says_enough(milliseconds: int | None, shown: str | None) -> None:
    """Two of a unit are told in it, less in the one below."""
    assert span(milliseconds) == shown


def test_a_moment_is_utc() -> None:
    """To the second; one that no calendar has is none."""
    assert moment(1_764_000_000_000) == "2025-11-24 16:00:00"
    assert moment(None) is None
    assert moment(10**30) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        (0, "0"),
        ("a b", "a b"),
        ("a\tb\x07\x9b\u202e", "a?b???"),
        ("größer", "größer"),
    ],
)
def test_a_cell_is_printable(value: object, shown: str) -> None:
    """Nothing in it can end the line, steer the terminal or turn the text around."""
    assert cell(value) == shown


def test_a_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Under the head, whatever is in them."""
    show_table(("a", "b"), [("x\ny", None), (1, 2)])
    assert capsys.readouterr().out.splitlines() == ["a    b", "x?y  -", "1    2"]
