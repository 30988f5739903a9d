"""The account of a run: what became of every intended webhook and of its reply. Nothing drops out of it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Self

from loadtests.arrivals import BAD_SIGNATURES, Plan

NEVER = float("inf")
BAD_SIGNATURE_ACCEPTED = "bad signature accepted"
"""The one reason to fail that is a breach, however rare."""
UNAUTHORIZED = "status 401"
"""Why a webhook failed whose signature was not believed."""
_OPEN, _ANSWERED, _FAILED, _UNSENT = range(4)
_MOST_REPLIES_COUNTED = 255


class Outcome(NamedTuple):
    """What became of one webhook.

    Attributes:
        late_s: how long after its intended time it was sent; `NEVER` if it was not.
        after_s: from its intended time until it was answered, or given up.
        reason: why the answer was not the right one; None if it was.
    """

    late_s: float
    after_s: float
    reason: str | None = None

    @classmethod
    def unsent(cls, reason: str) -> Self:
        """Of a webhook that the generator could not send."""
        return cls(NEVER, NEVER, reason)


class Timed(NamedTuple):
    """A measured time and what it belongs to, both in seconds: when it was due, and how long it took."""

    due_s: float
    took_s: float


class Book:
    """What is known of each webhook of *plan*.

    All times are seconds from the start of the run. A webhook is settled once: answered as it should be,
    failed (any other answer, or none) or unsent, which is the generator's failure and yet an error.

    Args:
        plan: the intended send times.
        slow_s: an answer later than this after its intended time is counted as slow.
        late_s: a webhook sent later than this after its intended time was not sent on time.
    """

    def __init__(self, plan: Plan, *, slow_s: float, late_s: float) -> None:
        self.plan = plan
        self._slow_s, self._late_s = slow_s, late_s
        self._state = bytearray(plan.total)
        self._after_s = array("d", [NEVER]) * plan.total
        # These three are the messages': a duplicate's are those of its first webhook.
        self._accepted = bytearray(plan.total)
        self._reply_s = array("d", [NEVER]) * plan.total
        self._replies = bytearray(plan.total)
        self.on_time = 0
        self.answered_total = 0
        self.accepted_total = 0
        self.slow = 0
        self.slowest_s = 0.0
        self.latest_s = 0.0
        self.failures: Counter[str] = Counter()
        self.clock_gap_s = 0.0

    def settle(self, index: int, outcome: Outcome) -> None:
        """Enter what became of webhook *index*."""
        if self._state[index] != _OPEN:
            raise ValueError(f"webhook {index} is settled twice")
        self._after_s[index] = outcome.after_s
        if outcome.late_s == NEVER:
            self._state[index] = _UNSENT
        else:
            self._sent(index, outcome)
        if outcome.reason is None:
            self._answered(index, outcome)
        else:
            self.failures[outcome.reason] += 1
            self.slow += self.plan.counts(index)

    def close(self, reason: str = "generator: no outcome") -> None:
        """Count every webhook without an outcome as an error: none may be dropped."""
        for index, state in enumerate(self._state):
            if state == _OPEN:
                self.settle(index, Outcome.unsent(reason))

    def replied(self, index: int, *, at_s: float, seen_s: float) -> None:
        """A reply to *index* was recorded at *at_s* (the target's clock) and read at *seen_s* (our clock)."""
        self._replies[index] = min(self._replies[index] + 1, _MOST_REPLIES_COUNTED)
        self._reply_s[index] = min(self._reply_s[index], at_s - self.plan.due_s[index])
        self.clock_gap_s = max(self.clock_gap_s, self.plan.due_s[index] - at_s, at_s - seen_s)

    @property
    def failed_total(self) -> int:
        """How many were sent or due, and not answered as they should be."""
        return self.failures.total()

    @property
    def settled(self) -> int:
        """Of how many webhooks the outcome is known."""
        return self.answered_total + self.failed_total

    @property
    def late(self) -> int:
        """How many of the settled were not sent on time, or not at all."""
        return self.settled - self.on_time

    @property
    def unreplied(self) -> int:
        """How many messages were accepted and have no reply so far."""
        return sum(1 for index in self._messages() if not self._replies[index])

    @property
    def doubled(self) -> int:
        """How many messages have more than one reply."""
        return sum(1 for replies in self._replies if replies > 1)

    def answer_times_s(self) -> list[float]:
        """Intended time to right answer, for each settled webhook that counts; `NEVER` if it had none."""
        return [
            self._after_s[index] if self._state[index] == _ANSWERED else NEVER
            for index in range(self.plan.counted_from, self.plan.total)
            if self.plan.counts(index) and self._state[index] != _OPEN
        ]

    def reply_times_s(self) -> list[float]:
        """From intended time to first reply, for each accepted message that counts; else `NEVER`."""
        return [self._reply_s[index] for index in self._messages() if self.plan.counts(index)]

    def outcomes(self) -> Iterator[tuple[float, float | None, bool]]:
        """Of each settled webhook: when it was due, how long it took (None if unsent), whether it failed."""
        for due_s, state, after_s in zip(self.plan.due_s, self._state, self._after_s, strict=True):
            if state != _OPEN:
                yield due_s, None if state == _UNSENT else after_s, state != _ANSWERED

    def replies(self) -> list[Timed]:
        """How long each reply to an accepted message took, from the message's intended time."""
        replied = (index for index in self._messages() if self._replies[index])
        return [Timed(self.plan.due_s[index], self._reply_s[index]) for index in replied]

    def _messages(self) -> list[int]:
        return [index for index, accepted in enumerate(self._accepted) if accepted]

    def _sent(self, index: int, outcome: Outcome) -> None:
        self.on_time += outcome.late_s <= self._late_s
        self.latest_s = max(self.latest_s, outcome.late_s)
        self._state[index] = _FAILED
        if index >= self.plan.counted_from:
            self.slowest_s = max(self.slowest_s, outcome.after_s)

    def _answered(self, index: int, outcome: Outcome) -> None:
        self._state[index] = _ANSWERED
        self.answered_total += 1
        self.slow += self.plan.counts(index) and outcome.after_s > self._slow_s
        if self.plan.kinds[index] not in BAD_SIGNATURES:
            message = self.plan.originals[index]
            self.accepted_total += not self._accepted[message]
            self._accepted[message] = True
