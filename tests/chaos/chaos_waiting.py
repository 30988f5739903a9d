"""Waiting for conditions, free ports: what every part of the chaos tests uses."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Awaitable, Callable

POLL_INTERVAL_S = 0.05
BELOW_EPHEMERAL = (12_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on; a server restarted there might find its own taken."""


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


def free_port() -> int:
    """A port of the loopback interface that is free now, and that no outgoing connection will be given."""
    for port in random.sample(range(*BELOW_EPHEMERAL), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
