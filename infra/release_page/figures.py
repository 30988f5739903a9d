"""Numbers and times as people read them."""

from __future__ import annotations

import datetime
import math

NONE = "–"  # noqa: RUF001 - a dash is meant

_DIGITS = 3
_PLAIN = (1e-4, 1e9)
"""Between these a number is written out; outside, with its power of ten."""


def number(value: float) -> str:
    """*value* with three significant digits, whole numbers whole: `7.65`, `15.7`, `4,012`."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "endless" if value > 0 else "-endless"
    size = abs(value)
    if value == 0:
        return "0"
    if not _PLAIN[0] <= size < _PLAIN[1]:
        return f"{value:.2e}"
    if value == int(value) or size >= 10 ** (_DIGITS - 1):
        return f"{value:,.0f}"
    decimals = _DIGITS - 1 - math.floor(math.log10(size))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def share(value: float) -> str:
    """A share of one in per cent: `0.0501` is `5.01 %`."""
    return f"{number(value * 100)} %"


def are_shares(value: object, limit: object, unit: str) -> bool:
    """Whether both are shares of one: no unit, neither above 1, and a limit that says more than "none"."""
    return (
        not unit
        and isinstance(limit, int | float)
        and 0 < limit <= 1
        and (value is None or (isinstance(value, int | float) and 0 <= value <= 1))
    )


def figure(value: float | str | None, unit: str, *, as_share: bool = False) -> str:
    """A value or limit of a check with its unit; a dash where there is none."""
    if value is None:
        return NONE
    if as_share and isinstance(value, int | float):
        return share(value)
    text = value if isinstance(value, str) else number(value)
    return f"{text} {unit}" if unit else text


def span(seconds: float) -> str:
    """How long that is: `3.5 s`, `8 min 20 s`, `2 h 5 min`."""
    if not math.isfinite(seconds) or seconds < 60:
        return f"{number(seconds)} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in [part for part in parts if part[0]][:2])


def moment(time: datetime.datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def count(amount: int, thing: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"
