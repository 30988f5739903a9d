"""What was left open is closed later, once: unknown outcomes with a proof, and what the database missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog
from database_kit import RedisBackend
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from service_kit import SECRET, RecordedAlarms, event
from structlog.testing import LogCapture
from test_service_receipts import echo, message, reply_to

from service.accounts.database import Database, DatabaseFailed, MessageOutcome, MessageRecord
from service.event import Message
from service.lanes import LIVE, LaneName, gate_lane
from service.messages.billing import Billing, record_of
from service.messages.desk import Desk
from service.messages.messenger import NoWaha
from service.messages.notices import TenantNames
from service.messages.receipts import Receipts
from service.messages.reconciling import Reconciler
from service.messages.report import Report
from service.messages.unsettled import Unsettled
from service.messages.writer import Acknowledgement
from service.storage.store import Store
from service.telemetry.logs import Pseudonyms
from service.telemetry.metrics import WorkerMetrics

pytestmark = pytest.mark.integration

UNKNOWN, ANSWERED = MessageOutcome.UNKNOWN, MessageOutcome.ANSWERED


class Flaky:
    """A database that fails to settle what *fails* says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.fails: Callable[[MessageRecord], bool] = lambda _record: False
        self.asked = 0

    async def settle(self, record: MessageRecord) -> None:
        self.asked += 1
        if self.fails(record):
            raise DatabaseFailed("it is down")
        await self.database.settle(record)


class Rig:
    """A worker's reconciler over *store*."""

    def __init__(self, store: Store, database: Database) -> None:
        self.store, self.database = store, Flaky(database)
        self.metrics, self.logs = WorkerMetrics(CollectorRegistry()), LogCapture()
        self.told: list[dict[str, Any]] = []
        log = structlog.wrap_logger(None, processors=[self.logs])
        self.receipts, self.unsettled = Receipts(store, LIVE, SECRET), Unsettled(store, LIVE)
        billing = Billing(LaneName.LIVE, self.database, self.unsettled, self.metrics, RecordedAlarms())  # type: ignore[arg-type]  # it has what is used
        report = Report(self.metrics, TenantNames(Pseudonyms(SECRET)), self.told.append, log)
        desks = {lane: Desk(Acknowledgement(), NoWaha(), billing, self.receipts) for lane in LaneName}
        self.reconciler = Reconciler(store, desks, report, log)

    async def leave_unknown(self, asked: Message) -> None:
        """Record an outcome as unknown, as the message path does."""
        reply = reply_to(asked)
        await self.receipts.expect(asked, reply)
        await self.database.database.reserve(asked.tenant, asked.identity)
        await self.database.database.settle(record_of(asked, UNKNOWN, reply=reply.text, received_ms=1))
        body = event("hi", chat_id=asked.chat_id, message_id=asked.bare_id)
        await self.store.call("XADD", LIVE.unknown, "*", "event", body, "requestId", "r", "received", "1")

    async def account(self) -> tuple[int, int]:
        """Credits held and used by the tenant of all messages."""
        tenant = await self.database.database.tenant("default")
        assert tenant
        return tenant.reserved, tenant.used


@pytest.fixture
async def rig(store: Store, redis_url: str) -> AsyncIterator[Rig]:
    """A worker's reconciler on an empty Redis, the database there too."""
    async with RedisBackend(redis_url).open() as database:
        yield Rig(store, database)


async def test_unknown_outcome_is_answered_when_the_proof_comes(rig: Rig, redis: Redis) -> None:
    """It is charged once, logged with the webhook's id, counted, and nothing of it stays."""
    await rig.leave_unknown(message())
    await rig.reconciler.step(LIVE)
    assert (await redis.xlen(LIVE.unknown), await rig.account()) == (1, (1, 0))
    await rig.receipts.note(echo())
    for _ in range(3):
        await rig.reconciler.step(LIVE)
    assert (await redis.xlen(LIVE.unknown), await rig.account()) == (0, (0, 1))
    ((line),) = rig.told
    assert (line["msg"], line["event"], line["requestId"]) == ("Message reconciled", "processed", "r")
    assert rig.metrics.registry.get_sample_value("messages_reconciled_total", {"lane": "live"}) == 1
    assert await rig.receipts.proof(message()) is None


async def test_of_two_workers_one_tells(rig: Rig, store: Store) -> None:
    """Two that reconcile the same message charge it once and tell of it once."""
    other = Rig(store, rig.database.database)
    await rig.leave_unknown(message())
    await rig.receipts.note(echo())
    page = await rig.reconciler._unknown.page(None, "+", 10)
    for each in (rig, other):
        await each.reconciler._answered(each.reconciler._desks[LaneName.LIVE], page[0], message(), "x")
    assert (len(rig.told), len(other.told), await rig.account()) == (1, 0, (0, 1))


async def test_many_are_gone_through_page_by_page(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof is found wherever its message stands, and then again from the start."""
    monkeypatch.setattr("service.messages.reconciling.PAGE", 2)
    names = [f"M{number}" for number in range(5)]
    for name in names:
        await rig.leave_unknown(message(name))
    await rig.receipts.note(echo(quotes="M4"))
    for _ in range(3):
        await rig.reconciler.step(LIVE)
    await rig.receipts.note(echo(quotes="M0"))
    await rig.reconciler.step(LIVE)
    assert (await rig.account(), len(rig.told)) == ((3, 2), 2)


async def test_record_that_holds_no_message_is_left(rig: Rig, redis: Redis) -> None:
    """What was put there by hand stops nobody."""
    await redis.xadd(LIVE.unknown, {"event": "not an event"})
    await rig.leave_unknown(message())
    await rig.receipts.note(echo())
    await rig.reconciler.step(LIVE)
    assert (await redis.xlen(LIVE.unknown), len(rig.told)) == (1, 1)


async def test_gate_has_nothing_to_reconcile(rig: Rig, redis: Redis) -> None:
    """A release that is not live leaves the live lane's records alone."""
    await rig.leave_unknown(message())
    await rig.receipts.note(echo())
    await rig.reconciler.step(gate_lane("r"))
    assert await redis.xlen(LIVE.unknown) == 1


async def test_database_is_told_what_it_missed(rig: Rig, redis: Redis) -> None:
    """While it is down all of it is kept; then it is charged, once, and kept no more."""
    rig.database.fails = lambda _record: True
    billing = rig.reconciler._desks[LaneName.LIVE].billing
    for name in ("M0", "M1"):
        await billing.settle(record_of(message(name), ANSWERED, reply="hi", received_ms=1))
    await rig.reconciler.step(LIVE)
    assert await redis.xlen(LIVE.unsettled) == 2
    rig.database.fails = lambda _record: False
    for _ in range(3):
        await rig.reconciler.step(LIVE)
    assert (await redis.xlen(LIVE.unsettled), await rig.account()) == (0, (0, 2))
    assert rig.metrics.registry.get_sample_value("credits_used_total", {"lane": "live"}) == 2


async def test_down_database_is_asked_once_a_step(rig: Rig) -> None:
    """Each call may take its whole timeout: a page of them would hold up all else."""
    for number in range(5):
        await rig.unsettled.add(record_of(message(f"M{number}"), ANSWERED, reply="", received_ms=1))
    rig.database.fails = lambda _record: True
    await rig.reconciler.step(LIVE)
    assert rig.database.asked == 1


async def test_record_that_never_settles_holds_up_none(rig: Rig, redis: Redis) -> None:
    """One that the database refuses for ever stays, and the others are settled."""
    for name in ("bad", "good1", "good2"):
        await rig.unsettled.add(record_of(message(name), ANSWERED, reply="", received_ms=1))
    rig.database.fails = lambda record: record.payload_id.endswith("bad")
    for _ in range(4):
        await rig.reconciler.step(LIVE)
    assert (await redis.xlen(LIVE.unsettled), await rig.account()) == (1, (0, 2))


async def test_unreadable_record_is_told_of_and_removed(rig: Rig, redis: Redis) -> None:
    """Something else in the stream is logged, not carried along for ever."""
    await redis.xadd(LIVE.unsettled, {"record": "no JSON"})
    await redis.xadd(LIVE.unsettled, {"what": "ever"})
    await rig.reconciler.step(LIVE)
    assert await redis.xlen(LIVE.unsettled) == 0
    assert [line["event"] for line in rig.logs.entries] == ["Unsettled record cannot be read"] * 2


async def test_records_are_kept_when_memory_is_full(rig: Rig, redis: Redis) -> None:
    """Whoever empties the queue must not be refused."""
    await redis.config_set("maxmemory", 1)
    try:
        await rig.unsettled.add(record_of(message(), ANSWERED, reply="ü", received_ms=1))
    finally:
        await redis.config_set("maxmemory", 0)
    (kept,) = await rig.unsettled.page(None, 10)
    assert kept.record is not None
    assert (kept.record.reply, kept.record.outcome) == ("ü", ANSWERED)
