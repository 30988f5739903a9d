"""Waiting for conditions: what every part of the chaos tests uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_INTERVAL_S = 0.05


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, within_s: float = 120) -> None:
    """Return as soon as *condition* holds.

    Raises:
        AssertionError: it did not hold *within_s*; says *what* was waited for.
    """
    deadline = time.monotonic() + within_s
    while True:
        holds = condition()
        if isinstance(holds, bool):
            met = holds
        else:
            met = await holds
        if met:
            return
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(POLL_INTERVAL_S)
