"""Steps that must be done, however long Redis is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from service.storage.store import StoreError

T = TypeVar("T")


async def surely(step: Callable[[], Awaitable[T]]) -> T:
    """Do *step*, which may be repeated, until Redis says that it is done: its outcome must not be guessed."""
    try:
        return await step()  # as a rule; retrying is not even prepared
    except StoreError:
        pass
    async for attempt in stamina.retry_context(
        on=StoreError, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
    ):
        with attempt:
            return await step()
    raise AssertionError("unreachable: without a limit the loop ends by returning")
