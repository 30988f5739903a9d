"""A suite's checks as rows: what failed first, each with its value against its limit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.verdict import Check, Verdict
from infra.release_page.figures import are_shares, figure, number

_ORDER = {Verdict.FAIL: 0, Verdict.NO_EVIDENCE: 1, Verdict.PASS: 2}
_LEAST_SEEN = 0.012
_MOST_TIMES = 1000


@dataclass(frozen=True)
class Bar:
    """A value drawn against its limit, both as shares of the bar's length."""

    filled: float
    limit: float
    label: str


@dataclass(frozen=True)
class Row:
    """One check in words and as a bar."""

    name: str
    verdict: Verdict
    value: str
    limit: str
    samples: str
    detail: str
    bar: Bar | None


def rows(checks: Iterable[Check]) -> list[Row]:
    """The checks as rows: failed, then without evidence, then passed; otherwise in their order."""
    return [row(check) for check in sorted(checks, key=lambda check: _ORDER[check.verdict])]


def row(check: Check) -> Row:
    """*check* with its figures in their unit, shares in per cent."""
    as_share = are_shares(check.value, check.limit, check.unit)
    return Row(
        name=check.name,
        verdict=check.verdict,
        value=figure(check.value, check.unit, as_share=as_share),
        limit=figure(check.limit, check.unit, as_share=as_share),
        samples=number(check.samples),
        detail=check.detail,
        bar=bar(check.value, check.limit),
    )


def bar(value: float | str | None, limit: float | str | None) -> Bar | None:
    """The bar of *value* with a mark at *limit*; None where they are no two amounts to compare.

    Whether to be above the limit is good is the check's to say (there are least values too), so the bar only
    shows where the two stand.
    """
    if not (isinstance(value, int | float) and isinstance(limit, int | float)):
        return None
    whole = max(value, limit)
    if not (whole > 0 and all(math.isfinite(amount) and amount >= 0 for amount in (value, limit))):
        return None
    filled = value / whole
    return Bar(max(filled, _LEAST_SEEN) if value else 0.0, limit / whole, _of_limit(value, limit))


def _of_limit(value: float, limit: float) -> str:
    """The value in terms of its limit: `3.2 % of the limit`, `8 times the limit`."""
    if limit == 0:
        return "above a limit of 0"
    ratio = value / limit
    if ratio < 2:
        return f"{number(round(ratio * 100, 1))} % of the limit"
    return f"{number(ratio)} times the limit" if ratio < _MOST_TIMES else "far above the limit"
