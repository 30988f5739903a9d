"""When each webhook is due: fixed before the first is sent, so that no target can slow its own test down."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Self

MOST_ARRIVALS = 5_000_000
_ROUNDING = 1e-9


class PlanError(Exception):
    """The asked-for arrivals cannot be planned; the message says why."""


@dataclass(frozen=True)
class Plan:
    """Intended send times.

    Attributes:
        due_s: seconds from the start, ascending; one for each webhook.
        counted_from: index of the first webhook after the warm-up; only from here on percentiles count.
    """

    due_s: array[float]
    counted_from: int

    @classmethod
    def steady(cls, rate_per_s: float, warmup_s: float, duration_s: float) -> Self:
        """Evenly spaced arrivals: a warm-up, then the measured part, without a gap between them.

        Raises:
            PlanError: more arrivals than can be kept account of.
        """
        if rate_per_s * (warmup_s + duration_s) > MOST_ARRIVALS:
            raise PlanError(
                f"{rate_per_s:g}/s for {warmup_s + duration_s:g} s is more than {MOST_ARRIVALS} webhooks"
            )
        counted_from = math.ceil(rate_per_s * warmup_s - _ROUNDING)
        total = max(math.ceil(rate_per_s * (warmup_s + duration_s) - _ROUNDING), counted_from + 1)
        return cls(array("d", (index / rate_per_s for index in range(total))), counted_from)

    @property
    def total(self) -> int:
        """How many webhooks are to be sent."""
        return len(self.due_s)

    @property
    def counted(self) -> int:
        """How many of them count in the percentiles."""
        return self.total - self.counted_from
