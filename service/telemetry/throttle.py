"""How often something may be told, and from which rate on it is worth telling. Clocks are monotonic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Throttle:
    """Lets each key through once in *every_s*, and counts what it held back meanwhile."""

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        """The keys are few: each is remembered for ever."""
        self._every_s = every_s
        self._clock = clock
        self._let_through_at: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def let_through(self, key: str) -> int | None:
        """None to hold it back; else how many of its kind were held back since the last one."""
        now = self._clock()
        if now - self._let_through_at.get(key, -self._every_s) < self._every_s:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return None
        self._let_through_at[key] = now
        return self._held_back.pop(key, 0)


class Rate:
    """Whether something happens more than *most* times in the last *within_s* seconds."""

    def __init__(self, most: int, within_s: float, clock: Callable[[], float]) -> None:
        self._within_s = within_s
        self._clock = clock
        self._latest: deque[float] = deque(maxlen=most)

    def is_exceeded(self) -> bool:
        """Count one more, and say."""
        now = self._clock()
        full = len(self._latest) == self._latest.maxlen
        exceeded = full and now - self._latest[0] <= self._within_s
        self._latest.append(now)
        return exceeded
