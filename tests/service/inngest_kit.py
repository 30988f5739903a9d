"""What the tests of Inngest share: messages in the stream, a fake answering, and signed calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from service_kit import arrival, event
from structlog.testing import LogCapture

from sandbox.inngest_signature import canonical, signature
from service.by_inngest.custody import Hands
from service.by_inngest.runs import RunMetrics, Runs
from service.lanes import LIVE
from service.messages.inbox import Entry, Inbox, RetryPolicy, TakeState
from service.storage.store import Store
from service.webhooks.admission import Admitted, StreamAdmission, Verdict
from service.webhooks.headroom import Headroom

LEASE_S = 60.0
"""Over by `store_kit.pass_by` and not before, however slow the machine is."""
RETRY = RetryPolicy(base_s=0.02, cap_s=10)
SIGNING_KEY = "signkey-test-00ffee"
EVENT_KEY = "an-event-key"
FUNCTION = "runbook-answer-message"


async def enqueue(store: Store, *chats: str) -> None:
    """Admit one message to each of *chats*."""
    admission = StreamAdmission(LIVE, store, Headroom(store), per_minute=1000, max_length=1000)
    for number, chat in enumerate(chats):
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        body = event(chat_id=f"{chat}@c.us", message_id=f"M{number}")
        admission.admit(arrival(body), verdict.set_result)
        assert await verdict is Admitted.ACCEPTED


async def read_all(inbox: Inbox) -> list[Entry]:
    """The new entries, read by this worker."""
    await inbox.open(LIVE)
    return await inbox.read([LIVE], count=100, block_ms=1)


def inbox_of(store: Store, consumer: str, *, lease_s: float = LEASE_S) -> Inbox:
    """The streams as *consumer* sees them."""
    return Inbox(store, consumer, lease_s=lease_s, retry=RETRY)


def hands_of(store: Store, consumer: str) -> Hands:
    """What *consumer* exchanges with Inngest."""
    return Hands(store, consumer, lease_s=LEASE_S)


Step = Callable[[Entry, TakeState, int], Awaitable[None]]


@dataclass
class FakeReport:
    """Keeps the errors."""

    errors: list[Exception] = field(default_factory=list)

    def failed(self, _entry: Entry, error: Exception) -> None:
        self.errors.append(error)


@dataclass
class FakeAnswering:
    """Takes entries as the real one does, and finishes them, or does as told. `answered`: in their order."""

    inbox: Inbox
    step: Step | None = None
    answered: list[tuple[str, TakeState, int]] = field(default_factory=list)
    report: FakeReport = field(default_factory=FakeReport)

    async def handle(self, entry: Entry) -> None:
        await self.answer(entry, *await self.inbox.take(entry))

    async def answer(self, entry: Entry, state: TakeState, attempt: int) -> None:
        self.answered.append((entry.id, state, attempt))
        if self.step:
            await self.step(entry, state, attempt)
        elif state is TakeState.GO:
            await self.inbox.finish(entry)


def runs_of(
    store: Store, consumer: str, step: Step | None = None, *, lease_s: float = LEASE_S
) -> tuple[Runs, FakeAnswering]:
    """The runs of the web process *consumer*, and how they are answered."""
    inbox = inbox_of(store, consumer)
    answering = FakeAnswering(inbox, step)
    runs = Runs(
        inbox=inbox,
        hands=hands_of(store, consumer),
        answering=answering,  # type: ignore[arg-type]  # it has what is used
        retry=RETRY,
        lease_s=lease_s,
        metrics=RunMetrics(CollectorRegistry()),
        log=structlog.wrap_logger(None, processors=[LogCapture()]),
    )
    return runs, answering


def call_body(entry_id: object, *, function: str = FUNCTION) -> bytes:
    """The body of Inngest's call for the message *entry_id*."""
    sent = {"name": "whatsapp/message.received", "id": "an-id", "data": {"entry": entry_id}, "ts": 1}
    context: dict[str, Any] = {
        "attempt": 0,
        "disable_immediate_execution": False,
        "fn_id": function,
        "run_id": "01",
        "stack": {"current": 0, "stack": []},
        "use_api": False,
    }
    return canonical({"ctx": context, "event": sent, "events": [sent], "steps": {}, "use_api": False})


def signed_call(body: bytes, signing_key: str = SIGNING_KEY) -> dict[str, str]:
    """The headers of Inngest's call with *body*."""
    return {
        "Content-Type": "application/json",
        "X-Inngest-Server-Kind": "cloud",
        "X-Inngest-Signature": signature(body, signing_key),
    }
