"""The account of a run: what became of every intended webhook and of its reply. Nothing drops out of it."""

from __future__ import annotations

from array import array
from collections import Counter

from loadtests.arrivals import Plan

NEVER = float("inf")
_OPEN, _ACCEPTED, _FAILED = range(3)
_MOST_REPLIES_COUNTED = 255


class Book:
    """What is known of each webhook of *plan*.

    All times are seconds from the start of the run. A webhook is settled once: accepted, failed (any answer
    but 2xx, or none) or unsent, which is the generator's failure and yet an error.

    Args:
        plan: the intended send times.
        slow_s: an answer later than this after its intended time is counted as slow.
        late_s: a webhook sent later than this after its intended time was not sent on time.
    """

    def __init__(self, plan: Plan, *, slow_s: float, late_s: float) -> None:
        self.plan = plan
        self._slow_s, self._late_s = slow_s, late_s
        self._state = bytearray(plan.total)
        self._answer_s = array("d", [NEVER]) * plan.total
        self._reply_s = array("d", [NEVER]) * plan.total
        self._replies = bytearray(plan.total)
        self.on_time = 0
        self.accepted_total = 0
        self.slow = 0
        self.latest_s = 0.0
        self.failures: Counter[str] = Counter()
        self.clock_gap_s = 0.0

    def accepted(self, index: int, *, late_s: float, answer_s: float) -> None:
        """Webhook *index* was sent *late_s* after its intended time and had a 2xx *answer_s* after it."""
        self._settle(index, _ACCEPTED)
        self._sent(late_s)
        self._answer_s[index] = answer_s
        self.accepted_total += 1
        self.slow += self._counts(index) and answer_s > self._slow_s

    def failed(self, index: int, reason: str, *, late_s: float) -> None:
        """Webhook *index* was sent *late_s* after its intended time, and was not accepted."""
        self._settle(index, _FAILED)
        self._sent(late_s)
        self._fail(index, reason)

    def unsent(self, index: int, reason: str) -> None:
        """Webhook *index* could not be sent by the generator."""
        self._settle(index, _FAILED)
        self._fail(index, reason)

    def close(self) -> None:
        """Count every webhook without an outcome as an error: none may be dropped."""
        for index, state in enumerate(self._state):
            if state == _OPEN:
                self.unsent(index, "generator: no outcome")

    def replied(self, index: int, *, at_s: float, seen_s: float) -> None:
        """A reply to *index* was recorded at *at_s* (the target's clock) and read at *seen_s* (our clock)."""
        self._replies[index] = min(self._replies[index] + 1, _MOST_REPLIES_COUNTED)
        self._reply_s[index] = min(self._reply_s[index], at_s - self.plan.due_s[index])
        self.clock_gap_s = max(self.clock_gap_s, self.plan.due_s[index] - at_s, at_s - seen_s)

    @property
    def failed_total(self) -> int:
        """How many were sent or due, and not accepted."""
        return self.failures.total()

    @property
    def settled(self) -> int:
        """Of how many webhooks the outcome is known."""
        return self.accepted_total + self.failed_total

    @property
    def late(self) -> int:
        """How many of the settled were not sent on time, or not at all."""
        return self.settled - self.on_time

    @property
    def unreplied(self) -> int:
        """How many were accepted and have no reply so far."""
        return sum(1 for index in self._accepted() if not self._replies[index])

    @property
    def doubled(self) -> int:
        """How many have more than one reply."""
        return sum(1 for replies in self._replies if replies > 1)

    def answer_times_s(self) -> list[float]:
        """Intended time to 2xx, for each settled webhook after the warm-up; `NEVER` if it had none."""
        indexes = range(self.plan.counted_from, self.plan.total)
        return [self._answer_s[index] for index in indexes if self._state[index] != _OPEN]

    def reply_times_s(self) -> list[float]:
        """From intended time to first reply, for each accepted webhook after the warm-up; else `NEVER`."""
        return [self._reply_s[index] for index in self._accepted() if self._counts(index)]

    def _accepted(self) -> list[int]:
        return [index for index, state in enumerate(self._state) if state == _ACCEPTED]

    def _counts(self, index: int) -> bool:
        return index >= self.plan.counted_from

    def _settle(self, index: int, state: int) -> None:
        if self._state[index] != _OPEN:
            raise ValueError(f"webhook {index} is settled twice")
        self._state[index] = state

    def _sent(self, late_s: float) -> None:
        self.on_time += late_s <= self._late_s
        self.latest_s = max(self.latest_s, late_s)

    def _fail(self, index: int, reason: str) -> None:
        self.failures[reason] += 1
        self.slow += self._counts(index)
