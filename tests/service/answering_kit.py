"""The message path on fakes that write down, in one journal, what they were asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from service_kit import SECRET, RecordedAlarms, event
from structlog.testing import LogCapture

from service.accounts.database import DatabaseFailed, MessageRecord, Reservation, Tenant
from service.event import Message
from service.lanes import LIVE, LaneName
from service.messages.answering import Answering, Patience
from service.messages.billing import Billing
from service.messages.desk import Desk
from service.messages.first_sends import FirstSends
from service.messages.inbox import Entry, Record, TakeState
from service.messages.messenger import SendDeferred
from service.messages.notices import TenantNames
from service.messages.replies import Reply
from service.messages.report import Report
from service.storage.store import StoreAway
from service.telemetry.logs import Pseudonyms
from service.telemetry.metrics import WorkerMetrics

MAX_ATTEMPTS = 3
MAX_AGE_S = 60.0

Journal = list[Any]


@dataclass
class Weather:
    """What is away: each named step fails so often before it works."""

    away: dict[str, int] = field(default_factory=dict)

    def pass_by(self, step: str) -> None:
        if self.away.get(step, 0) > 0:
            self.away[step] -= 1
            raise StoreAway("Redis is away")


@dataclass
class FakeInbox:
    """An inbox that answers as told."""

    journal: Journal
    weather: Weather
    state: TakeState = TakeState.GO
    attempt: int = 1
    marked: bool = True

    async def take(self, _entry: Entry) -> tuple[TakeState, int]:
        return self.state, self.attempt

    async def mark(self, _entry: Entry, _attempt: int) -> bool:
        self.weather.pass_by("mark")
        self.journal.append("mark")
        return self.marked

    async def unmark(self, _entry: Entry, _attempt: int) -> None:
        self.weather.pass_by("unmark")
        self.journal.append("unmark")

    async def finish(
        self, _entry: Entry, record: Record | None = None, forgotten: Sequence[str] = ()
    ) -> bool:
        self.weather.pass_by("finish")
        where = record.stream.rpartition(":")[2] if record else None
        self.journal.append(("finish", where, *forgotten))
        return True


@dataclass
class FakeMessenger:
    """Sends, or fails as told."""

    journal: Journal
    failure: Exception | None = None
    stopped: list[bool] = field(default_factory=list)
    """Whether the session does not work, each time that is asked; then it does."""

    def require(self, _message: Message, *, is_next: bool = False) -> None:
        if self.stopped and self.stopped.pop(0):
            raise SendDeferred("the session does not work")

    async def begin(self, _message: Message) -> None:
        self.journal.append("begin")

    async def finish(self, _message: Message) -> None:
        self.journal.append("end")

    async def send_text(self, reply: Reply) -> None:
        self.journal.append(("send", reply.text))
        if self.failure:
            raise self.failure


@dataclass
class FakeDatabase:
    """A database with one answer, that may be down for a function."""

    journal: Journal
    reservation: Reservation = Reservation.RESERVED
    down: set[str] = field(default_factory=set)
    owner_email: str | None = "owner@example.com"
    settled: list[MessageRecord] = field(default_factory=list)

    async def reserve(self, _tenant: str, _message: str) -> Reservation:
        self._work("reserve")
        self.journal.append("reserve")
        return self.reservation

    async def settle(self, record: MessageRecord) -> None:
        self._work("settle")
        self.settled.append(record)
        self.journal.append(("settle", record.outcome.value))

    async def tenant(self, tenant: str) -> Tenant | None:
        self._work("tenant")
        return Tenant(tenant, 0, 0, 0, self.owner_email)

    def _work(self, name: str) -> None:
        if name in self.down:
            raise DatabaseFailed("it is down")


@dataclass
class FakeUnsettled:
    """Keeps what the database was not told."""

    journal: Journal
    kept: list[MessageRecord] = field(default_factory=list)

    async def add(self, record: MessageRecord) -> None:
        self.kept.append(record)
        self.journal.append(("unsettled", record.outcome.value))


@dataclass
class FakeReceipts:
    """Has the proof that it is given."""

    journal: Journal
    found: str | None = None

    async def expect(self, _message: Message, reply: Reply) -> None:
        self.journal.append(("expect", reply.text))

    async def proof(self, _message: Message) -> str | None:
        return self.found

    def keys(self, _message: Message, _reply: Reply) -> tuple[str, str]:
        return ("expected", "said")


@dataclass
class FakeNotices:
    """Keeps whose owner would have been told."""

    journal: Journal

    async def no_credit(self, tenant: str) -> None:
        self.journal.append(("notice", tenant))


@dataclass
class Echo:
    """Writes back what was written."""

    journal: Journal

    async def write(self, message: Message) -> str:
        self.journal.append("write")
        return message.text


def entry(body: bytes | None = None, **fields: str) -> Entry:
    """An entry with a message that came just now."""
    told = {
        b"event": body or event("hello", message_id="M"),
        b"chat": b"c",
        b"requestId": b"r",
        b"received": str(time.time_ns() // 1_000_000).encode(),
    }
    return Entry(LIVE, "1-0", told | {name.encode(): value.encode() for name, value in fields.items()})


class Rig:
    """The message path on fakes."""

    def __init__(self, *, state: TakeState = TakeState.GO, attempt: int = 1, away: int = 0) -> None:
        """*away*: how often each step of Redis fails before it works."""
        self.journal: Journal = []
        weather = Weather(dict.fromkeys(("mark", "unmark", "finish"), away))
        self.inbox = FakeInbox(self.journal, weather, state, attempt)
        self.messenger = FakeMessenger(self.journal)
        self.database = FakeDatabase(self.journal)
        self.unsettled = FakeUnsettled(self.journal)
        self.receipts = FakeReceipts(self.journal)
        self.alarms = RecordedAlarms()
        self.metrics = WorkerMetrics(CollectorRegistry())
        self.first_sends = FirstSends(self.metrics)
        self.told: list[dict[str, Any]] = []
        self.logs = LogCapture()

    def answering(self) -> Answering:
        """The path itself."""
        billing = Billing(LaneName.LIVE, self.database, self.unsettled, self.metrics, self.alarms)  # type: ignore[arg-type]  # they have what is used
        desk = Desk(Echo(self.journal), self.messenger, billing, self.receipts)  # type: ignore[arg-type]
        log = structlog.wrap_logger(None, processors=[self.logs])
        return Answering(
            inbox=self.inbox,  # type: ignore[arg-type]
            desks={LaneName.LIVE: desk},
            patience=Patience(MAX_ATTEMPTS, MAX_AGE_S),
            notices=FakeNotices(self.journal),  # type: ignore[arg-type]
            report=Report(self.metrics, TenantNames(Pseudonyms(SECRET)), self.told.append, log),
            first_sends=self.first_sends,
        )

    async def handle(self, given: Entry | None = None) -> Journal:
        """Have one message handled; the journal."""
        await self.answering().handle(given or entry())
        return self.journal

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Message and event of every line, of either way."""
        slow = [(line["event"], line["_event"]) for line in self.logs.entries]
        return [(line["msg"], line["event"]) for line in self.told] + slow

    def counted(self, name: str, **labels: str) -> float:
        """A metric of the live lane."""
        return self.metrics.registry.get_sample_value(name, {"lane": "live", **labels}) or 0
