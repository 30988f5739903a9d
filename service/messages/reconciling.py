"""What was left open is closed later: unknown outcomes that have a proof, what the database was not told.

Every worker does this for the lanes it serves, a page at a time. All of it may be done twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from service.accounts.database import DatabaseFailed, MessageOutcome
from service.event import Message
from service.lanes import LIVE, Lane, LaneName
from service.messages.billing import record_of
from service.messages.desk import Desk
from service.messages.kept_messages import Kept, KeptMessage, KeptMessages
from service.messages.receipts import EXPECTED_S
from service.messages.replies import Reply
from service.messages.report import Report
from service.storage.store import Store
from service.telemetry.logs import Log

PAGE = 100


class Reconciler:
    """Goes through the records of each lane, again and again. Methods raise `StoreError`."""

    def __init__(self, store: Store, desks: Mapping[LaneName, Desk], report: Report, log: Log) -> None:
        self._store = store
        self._desks = desks
        self._report = report
        self._log = log
        self._unknown = KeptMessages(store, Kept.UNKNOWN)
        self._settled_to: dict[LaneName, str] = {}
        self._reconciled_to: str | None = None

    async def step(self, lane: Lane) -> None:
        """The next page of each kind, or less while the database is away."""
        desk = self._desks[lane.name]
        try:
            await self._settle(desk)
            if lane is LIVE:  # a gate's replies are recorded, not sent: nobody tells of them
                await self._reconcile(desk)
        except DatabaseFailed:
            pass  # logged where it failed; the next step goes on behind what failed

    async def _settle(self, desk: Desk) -> None:
        """Tell the database what it has not been told."""
        unsettled, lane = desk.billing.unsettled, desk.billing.lane
        page = await unsettled.page(self._settled_to.pop(lane, None), PAGE)
        for kept in page:
            self._settled_to[lane] = kept.id
            if kept.record:
                await desk.billing.insist(kept.record)
            else:
                self._log.error("Unsettled record cannot be read", id=kept.id)
            await unsettled.remove(kept)
        if len(page) < PAGE:
            self._settled_to.pop(lane, None)

    async def _reconcile(self, desk: Desk) -> None:
        """Settle those unknown outcomes of the next page that are known by now."""
        earliest_ms = time.time_ns() // 1_000_000 - EXPECTED_S * 1000
        page = await self._unknown.page(self._reconciled_to or f"{earliest_ms}-0", "+", PAGE)
        self._reconciled_to = page[-1].id if len(page) == PAGE else None
        messages = [(kept, message) for kept in page if (message := kept.message())]
        texts = await asyncio.gather(*(desk.receipts.proof(message) for _, message in messages))
        for (kept, message), text in zip(messages, texts, strict=True):
            if text is not None:
                await self._answered(desk, kept, message, text)

    async def _answered(self, desk: Desk, kept: KeptMessage, message: Message, text: str) -> None:
        received_ms = kept.number("received") or 0
        await desk.billing.insist(
            record_of(message, MessageOutcome.ANSWERED, reply=text, received_ms=received_ms)
        )
        if await self._unknown.delete([kept]):  # of several workers, one tells
            self._report.reconciled(LaneName.LIVE, kept.text("requestId"))
        reply = Reply(message.session, message.chat_id, text, message.payload_id)
        await self._store.call("DEL", *desk.receipts.keys(message, reply))
