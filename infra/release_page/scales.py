"""Axes: which part of the numbers they show, where a number lies, and which ticks are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from infra.release_page.figures import number

_HEADROOM = 1.1
_SMALLEST = 1e-3
"""Below it nothing is told apart: no time in ms, amount in MB or count is that small."""

_TIME_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200)
_DAY_S = 86_400
_MOST_TICKS = 7


class Scale(Protocol):
    """An axis of values."""

    @property
    def ticks(self) -> list[float]:
        """The numbers that are written at it."""

    def place(self, value: float) -> float:
        """Where *value* lies, from 0 (lowest) to 1."""


@dataclass(frozen=True)
class Linear:
    """From 0 to `high` in equal steps."""

    high: float
    step: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Linear:
        """An axis on which all of *values*, none below 0, have room."""
        highest = max([_SMALLEST, *values])
        step = _at_least(highest * _HEADROOM / 4)
        return cls(step * math.ceil(highest * _HEADROOM / step), step)

    @property
    def ticks(self) -> list[float]:
        """Every step."""
        return [index * self.step for index in range(round(self.high / self.step) + 1)]

    def place(self, value: float) -> float:
        """Its share of the whole."""
        return min(1.0, value / self.high)


@dataclass(frozen=True)
class Logarithmic:
    """From `low` to `high`, so that 3 ms and a limit of 500 ms are both legible."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> Logarithmic:
        """An axis on which all of *values* have room; what is 0 lies at its foot."""
        seen = [max(value, _SMALLEST) for value in values if value > 0] or [1.0]
        low, high = _at_most(min(seen)), _at_least(max(seen) * _HEADROOM)
        return cls(low, high if high > low * 2 else _at_least(low * 2.1))

    @property
    def ticks(self) -> list[float]:
        """Each 1, 2 and 5 where there is room, else powers of ten."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        fine = [factor * 10.0**power for power in decades for factor in (1, 2, 5)]
        shown = [tick for tick in fine if self.low * 0.999 <= tick <= self.high * 1.001]
        if len(shown) <= _MOST_TICKS:
            return shown
        tens = [10.0**power for power in decades if self.low * 0.999 <= 10.0**power <= self.high * 1.001]
        return tens[:: math.ceil(len(tens) / _MOST_TICKS)]

    def place(self, value: float) -> float:
        """Its share of the whole, by orders of magnitude."""
        within = min(max(value, self.low), self.high)
        return math.log(within / self.low) / math.log(self.high / self.low)


def time_ticks(length_s: float) -> list[tuple[float, str]]:
    """The ticks of an axis of time from 0 to *length_s*, each with what is written at it."""
    step = next((step for step in _TIME_STEPS_S if length_s / step < _MOST_TICKS), None)
    if step is None:
        step = _DAY_S * math.ceil(length_s / _DAY_S / _MOST_TICKS)
    size, unit = _time_unit(length_s, step)
    times = [index * step for index in range(int(length_s / step) + 1)]
    return [(time, f"{number(time / size)} {unit}" if time else "0") for time in times]


def _time_unit(length_s: float, step_s: int) -> tuple[int, str]:
    units = ((_DAY_S, "d"), (3600, "h"), (60, "min"))
    return next((unit for unit in units if length_s >= 3 * unit[0] and step_s % unit[0] == 0), (1, "s"))


def _at_least(value: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, … (and 0.5, 0.2, …) that is not below *value*."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.999_999)


def _at_most(value: float) -> float:
    """The largest of them that is not above *value*."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= value * 1.000_001)
