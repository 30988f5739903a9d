"""When each webhook is due: fixed before the first is sent, so that no target can slow its own test down."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from itertools import accumulate, cycle, pairwise
from operator import add
from typing import Self

from loadtests.scenarios import Phase

MOST_ARRIVALS = 5_000_000
_ROUNDING = 1e-9
_TOLD_TO_S = 0.001
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples' fractions fill the interval from 0 to 1 most evenly."""


class PlanError(Exception):
    """The asked-for arrivals cannot be planned; the message says why."""


class Kind(IntEnum):
    """What a webhook is: a new message, one of the ways in which WAHA sends it again, or a forgery."""

    MESSAGE = 0
    ANY = 1
    """The same message as `message.any`, which WAHA sends too."""
    LID = 2
    """The same with its chat's hidden id."""
    RESENT = 3
    """The same as another event: two webhooks are configured."""
    RETRIED = 4
    """The same bytes once more: WAHA saw no answer."""
    FOREIGN = 5
    """Signed with another secret."""
    UNSIGNED = 6
    """Not signed at all."""


DUPLICATES = (Kind.ANY, Kind.LID, Kind.RESENT, Kind.RETRIED)
BAD_SIGNATURES = (Kind.FOREIGN, Kind.UNSIGNED)
RETRIED_AFTER_S = 2.0
"""WAHA's default delay between retries."""


@dataclass(frozen=True)
class Plan:
    """Intended send times.

    Attributes:
        due_s: seconds from the start, ascending; one for each webhook.
        counted_from: index of the first webhook after the warm-up; only from here on percentiles count.
        kinds: a `Kind` for each webhook.
        originals: for each webhook the index of its message's first one: its own, except for duplicates.
    """

    due_s: array[float]
    counted_from: int
    kinds: bytes
    originals: array[int]

    @classmethod
    def of(
        cls, phases: Sequence[Phase], warmup_s: float, *, duplicates: float = 0, bad_signatures: float = 0
    ) -> Self:
        """The arrivals of *phases*, of which so large shares are no new messages.

        Raises:
            PlanError: more arrivals than can be kept account of, or none that counts.
        """
        if (expected := sum(map(_arrivals, phases))) > MOST_ARRIVALS:
            raise PlanError(f"{_words(phases, expected)} is more than {MOST_ARRIVALS} webhooks")
        due_s = array("d", _due(phases))
        counted_from = sum(1 for due in due_s if due < warmup_s - _ROUNDING)
        if counted_from == len(due_s):
            raise PlanError(f"{len(due_s)} webhooks are due, and none after the warm-up of {warmup_s:g} s")
        kinds = _kinds(len(due_s), duplicates, bad_signatures)
        return cls(due_s, counted_from, kinds, _originals(kinds, due_s))

    @classmethod
    def steady(cls, rate_per_s: float, warmup_s: float, duration_s: float) -> Self:
        """Evenly spaced arrivals of new messages: a warm-up, then the measured part.

        Raises:
            PlanError: as `of`.
        """
        return cls.of([Phase(seconds=warmup_s + duration_s, rate_per_s=rate_per_s)], warmup_s)

    def later(self, by_s: float) -> Self:
        """The same arrivals, each *by_s* later."""
        return replace(self, due_s=array("d", (due + by_s for due in self.due_s)))

    def dithered(self) -> Self:
        """The same arrivals, each by another part of a millisecond later, in unchanged order.

        Replies are told to the millisecond. The times of webhooks that are whole ones apart would be on one
        grid, and two releases that differ by nearly nothing could be on different steps of it.
        """
        closest_s = min((later - earlier for earlier, later in pairwise(self.due_s)), default=0.0)
        at_most_s = min(_TOLD_TO_S, closest_s)
        dither_s = (index * _GOLDEN % 1 * at_most_s for index in range(self.total))
        return replace(self, due_s=array("d", map(add, self.due_s, dither_s)))

    @property
    def total(self) -> int:
        """How many webhooks are to be sent."""
        return len(self.due_s)

    @cached_property
    def counted(self) -> int:
        """How many of them count in the percentiles."""
        return sum(1 for index in range(self.counted_from, self.total) if self.counts(index))

    def counts(self, index: int) -> bool:
        """Whether the webhook's time counts in the percentiles.

        One with a bad signature is refused before any work is done: quick answers that would hide slow ones.
        """
        return index >= self.counted_from and self.kinds[index] not in BAD_SIGNATURES

    def count(self, kinds: Iterable[Kind]) -> int:
        """How many webhooks of these kinds there are."""
        return sum(self.kinds.count(kind) for kind in kinds)


def _words(phases: Sequence[Phase], expected: float) -> str:
    if len(phases) == 1 and phases[0].seconds is not None:
        return f"{phases[0].rate_per_s:g}/s for {phases[0].seconds:g} s"
    return f"{expected:.0f} in {len(phases)} phases"


def _arrivals(phase: Phase) -> float:
    """How many webhooks *phase* brings, before rounding."""
    if phase.at_once is not None:
        return phase.at_once
    return (phase.rate_per_s + _last_rate(phase)) / 2 * (phase.seconds or 0)


def _last_rate(phase: Phase) -> float:
    return phase.rate_per_s if phase.to_per_s is None else phase.to_per_s


def _due(phases: Sequence[Phase]) -> Iterable[float]:
    starts = accumulate((phase.seconds or 0 for phase in phases), initial=0.0)
    for phase, start_s in zip(phases, starts, strict=False):
        slope = (_last_rate(phase) - phase.rate_per_s) / phase.seconds if phase.seconds else 0
        for number in range(math.ceil(_arrivals(phase) - _ROUNDING)):
            yield start_s + (0 if phase.at_once else _when(number, phase.rate_per_s, slope))


def _when(number: int, rate: float, slope: float) -> float:
    """The time t at which so many have arrived: rate · t + slope · t² / 2 = number."""
    if number == 0:
        return 0.0
    # Solved in the form that is exact for an even rate, where the slope is 0.
    return 2 * number / (rate + math.sqrt(max(rate * rate + 2 * slope * number, 0)))


def _kinds(total: int, duplicates: float, bad_signatures: float) -> bytes:
    """Evenly mixed, in exactly these shares: by chance there could be too few to show anything."""
    kinds, owed = bytearray(total), [0.0, 0.0]
    turns = (cycle(DUPLICATES), cycle(BAD_SIGNATURES))
    for index in range(1, total):  # the first is a message: there is none that it could repeat
        owed = [owed[0] + duplicates, owed[1] + bad_signatures]
        which = 0 if owed[0] >= 1 - _ROUNDING else 1
        if owed[which] >= 1 - _ROUNDING:
            owed[which] -= 1
            kinds[index] = next(turns[which])
    return bytes(kinds)


def _originals(kinds: bytes, due_s: array[float]) -> array[int]:
    """The message before each duplicate; for a retry one that was sent as long ago as WAHA waits."""
    originals, messages = array("q", range(len(kinds))), list[int]()
    for index, kind in enumerate(kinds):
        if kind == Kind.MESSAGE:
            messages.append(index)
        elif kind in DUPLICATES:
            back_s = RETRIED_AFTER_S if kind == Kind.RETRIED else 0
            position = bisect_right(messages, due_s[index] - back_s, key=due_s.__getitem__) - 1
            originals[index] = messages[max(position, 0)]
    return originals
