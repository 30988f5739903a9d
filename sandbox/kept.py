"""What a stand-in received, kept to be looked at: bounded, so that a load test cannot fill the memory."""

from __future__ import annotations

from collections import deque
from typing import Any

KEPT = 500


class Kept:
    """The latest things received, oldest first, as JSON objects."""

    def __init__(self, kept: int = KEPT) -> None:
        self._things: deque[dict[str, Any]] = deque(maxlen=kept)

    def add(self, thing: dict[str, Any]) -> None:
        """Keep *thing*; the oldest is forgotten when there are too many."""
        self._things.append(thing)

    def listed(self) -> list[dict[str, Any]]:
        """All that is kept."""
        return list(self._things)

    def clear(self) -> None:
        """Forget everything."""
        self._things.clear()
