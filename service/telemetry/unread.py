"""Live messages that no worker takes: no worker runs, or none that believes its release to be live.

Some may be unread, others read by a worker that died, and nobody tries these again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from service.lanes import LIVE
from service.storage.progress import Progress, read_progress
from service.storage.store import Store, StoreError
from service.telemetry.logs import Log

STALLED_AFTER_S = 60.0
POLL_INTERVAL_S = 5.0


class UnreadWatch:
    """Sees whether the group moves on while messages wait; tells once of a stall, and of its end."""

    def __init__(
        self, log: Log, *, longest_rest_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*longest_rest_s*: a worker that lives may let all that it has read rest for so long."""
        self._log = log
        self._longest_rest_s = longest_rest_s
        self._clock = clock
        self._seen: Progress | None = None
        self._unmoved_since = 0.0
        self.is_stalled = False

    async def watch_forever(self, store: Store) -> None:
        """Look now and every few seconds, until cancelled."""
        while True:
            with contextlib.suppress(StoreError):  # the health report tells of that
                self.note(await read_progress(store, LIVE))
            await asyncio.sleep(POLL_INTERVAL_S)

    def note(self, progress: Progress) -> None:
        """Compare *progress*, of now, with what was seen before."""
        now, before, self._seen = self._clock(), self._seen, progress
        waits = progress.oldest_waiting_ms is not None
        if not waits or before is None or before.oldest_waiting_ms is None:
            self._unmoved_since = now  # nobody has waited until now
        elif before.last_delivered_id != progress.last_delivered_id:
            self._unmoved_since = now
        is_unread = waits and now - self._unmoved_since >= STALLED_AFTER_S
        # Not how long an entry has waited: of a long backlog some do, and yet workers do what they can.
        is_left = progress.silent_ms >= max(STALLED_AFTER_S, self._longest_rest_s) * 1000
        is_stalled = is_unread or is_left
        if is_stalled and not self.is_stalled:
            self._log.error("Live messages wait and no worker takes any")
        if self.is_stalled and not is_stalled:
            self._log.info("Live messages are taken again")
        self.is_stalled = is_stalled
