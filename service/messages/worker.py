"""The worker process: loops over the lanes it serves, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from service.lanes import LIVE, Lane
from service.messages.chats import Chats
from service.messages.inbox import Inbox
from service.messages.live_release import LiveRelease
from service.messages.reconciling import Reconciler
from service.storage.store import Store, StoreError
from service.telemetry.logs import Log
from service.telemetry.metrics import WorkerMetrics
from service.telemetry.silence import LOOK_EVERY_S, SilenceWatch

BLOCK_MS = 1000
"""How long a read waits for messages, and so how late a worker learns whether its release is live."""

RETRY_EVERY_S = 0.25
RECONCILE_EVERY_S = 2.0
AWAY_PAUSE_S = 1.0

CLOSING_S = 2.0
"""Of the grace, what is left for closing connections, for Sentry, and for a machine that is busy."""


@dataclass
class Worker:
    """Serves its release's gate lane always, and the live lane while its release is live."""

    store: Store
    inbox: Inbox
    chats: Chats
    silence: SilenceWatch
    reconciler: Reconciler
    live_release: LiveRelease
    release: str
    gate: Lane
    lease_s: float
    stop_grace_s: float
    heartbeat_file: Path
    metrics: WorkerMetrics
    log: Log
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _opened: set[Lane] = field(default_factory=set)

    async def run(self) -> None:
        """Work until `stop` is set, then finish what is in hand or leave it pending."""
        self._beat()  # a path that cannot be written should end the process now, not pass for a Redis error
        background = [
            asyncio.create_task(work)
            for work in (
                self.live_release.watch_forever(self.store),
                self._renew_forever(),
                self._reconcile_forever(),
            )
        ]
        self.log.info("Worker started", release=self.release)
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._until_stop(self._read, pause_s=0))
                loops.create_task(self._until_stop(self._retry, pause_s=RETRY_EVERY_S))
                loops.create_task(self._until_stop(self.silence.look, pause_s=LOOK_EVERY_S))
        finally:
            # A read may have taken BLOCK_MS.
            left = await self.chats.end(max(0.1, self.stop_grace_s - BLOCK_MS / 1000 - CLOSING_S))
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        self.log.info("Worker ended", left=left)

    async def _until_stop(self, step: Callable[[], Awaitable[None]], *, pause_s: float) -> None:
        while not self.stop.is_set():
            try:
                await step()
                await self._rest(pause_s)
            except StoreError as error:
                self._opened.clear()
                self.log.warning("Redis is away, waiting", exc_info=error)
                await self._rest(AWAY_PAUSE_S)

    async def _rest(self, seconds: float) -> None:
        """Pause, but not beyond the stop."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), seconds)

    async def _read(self) -> None:
        """Hand over new messages as long as there is room."""
        count = await self.chats.room(BLOCK_MS / 1000)
        if not count:
            return
        lanes = await self._lanes()
        for entry in await self.inbox.read(lanes, count=count, block_ms=BLOCK_MS):
            self.chats.hand_over(entry)

    async def _retry(self) -> None:
        """Hand over messages whose pause is over or whose worker is dead."""
        self._beat()
        for lane in await self._lanes():
            for entry in await self.inbox.due(lane, self.chats.in_hand(lane)):
                if self.stop.is_set() or not await self.chats.room(BLOCK_MS / 1000):
                    return  # what is left comes up again
                self.chats.hand_over(entry)
                self._beat()

    async def _lanes(self) -> list[Lane]:
        """The lanes to serve now, opened."""
        is_live = self.live_release.is_ours
        self.metrics.live.set(is_live)
        lanes = [self.gate, LIVE] if is_live else [self.gate]
        for lane in lanes:
            if lane not in self._opened:
                await self.inbox.open(lane)
                self._opened.add(lane)
        return lanes

    async def _reconcile_forever(self) -> None:
        """Close what was left open in the lanes that are served. Cancelled anywhere: it may be done again."""
        while True:
            await asyncio.sleep(RECONCILE_EVERY_S)
            try:
                for lane in await self._lanes():
                    await self.reconciler.step(lane)
            except Exception as error:  # whatever it is, messages are answered all the same
                self.log.error("Reconciling failed", exc_info=error)

    async def _renew_forever(self) -> None:
        """Renew the lease of what is in hand, also while ending, three times within its life."""
        while True:
            await asyncio.sleep(self.lease_s / 3)
            self.metrics.in_hand.set(len(self.chats))
            try:
                await self.inbox.keep_alive(self.gate)
                for lane in (self.gate, LIVE):
                    await self.inbox.renew(lane, self.chats.in_hand(lane))
            except StoreError as error:
                self.log.warning("Leases could not be renewed", exc_info=error)

    def _beat(self) -> None:
        """Show the container's health check that the loops turn, also while Redis is away."""
        self.heartbeat_file.touch()
