"""The message path: each state of a message leads to one outcome, also when Redis is away in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from service_kit import event
from structlog.testing import LogCapture

from service.event import Message
from service.lanes import LIVE, LaneName
from service.messages.answering import Answering
from service.messages.inbox import Entry, Record, TakeState
from service.messages.messenger import NotSent, OutcomeUnknown
from service.messages.replies import Reply
from service.storage.store import StoreAway
from service.telemetry.metrics import WorkerMetrics

MAX_ATTEMPTS = 3


@dataclass
class FakeInbox:
    """An inbox that answers as told and keeps what it was asked. `away`: how often each call fails first."""

    state: TakeState = TakeState.GO
    attempt: int = 1
    marked: bool = True
    away: int = 0
    asked: list[Any] = field(default_factory=list)
    _failed: dict[str, int] = field(default_factory=dict)

    async def take(self, _entry: Entry) -> tuple[TakeState, int]:
        return self.state, self.attempt

    async def mark(self, _entry: Entry, _attempt: int) -> bool:
        self._come_and_go("mark")
        self.asked.append("mark")
        return self.marked

    async def unmark(self, _entry: Entry) -> None:
        self._come_and_go("unmark")
        self.asked.append("unmark")

    async def finish(self, _entry: Entry, record: Record | None = None) -> bool:
        self._come_and_go("finish")
        self.asked.append(("finish", record.stream if record else None))
        return True

    def _come_and_go(self, step: str) -> None:
        self._failed[step] = self._failed.get(step, 0) + 1
        if self._failed[step] <= self.away:
            raise StoreAway("Redis is away")


@dataclass
class FakeMessenger:
    """Sends, or fails as told."""

    failure: Exception | None = None
    sent: list[Reply] = field(default_factory=list)

    async def send_text(self, reply: Reply) -> None:
        self.sent.append(reply)
        if self.failure:
            raise self.failure


class Echo:
    """Writes back what was written."""

    async def write(self, message: Message) -> str:
        return message.text


def entry(body: bytes | None = None) -> Entry:
    """An entry with a message."""
    fields = {b"event": body or event("hello"), b"chat": b"c", b"requestId": b"r", b"received": b"0"}
    return Entry(LIVE, "1-0", fields)


async def answer(
    inbox: FakeInbox, messenger: FakeMessenger, body: bytes | None = None
) -> list[dict[str, Any]]:
    """Have one message handled; what was logged."""
    logs = LogCapture()
    answering = Answering(
        inbox=inbox,  # type: ignore[arg-type]  # it has what is used
        writer=Echo(),
        messengers={LaneName.LIVE: messenger},
        max_attempts=MAX_ATTEMPTS,
        metrics=WorkerMetrics(CollectorRegistry()),
        log=structlog.wrap_logger(None, processors=[logs]),
    )
    await answering.handle(entry(body))
    return [dict(line) for line in logs.entries]


SENT, UNKNOWN, DEAD = ("finish", None), ("finish", LIVE.unknown), ("finish", LIVE.dead)


@pytest.mark.parametrize(
    ("inbox", "failure", "sends", "asked"),
    [
        (FakeInbox(), None, 1, ["mark", SENT]),
        (FakeInbox(state=TakeState.WAIT), None, 0, []),
        (FakeInbox(state=TakeState.GONE), None, 0, []),
        (FakeInbox(state=TakeState.UNKNOWN), None, 0, [UNKNOWN]),
        (FakeInbox(attempt=MAX_ATTEMPTS + 1), None, 0, [DEAD]),
        (FakeInbox(marked=False), None, 0, ["mark"]),
        (FakeInbox(), OutcomeUnknown("x"), 1, ["mark", UNKNOWN]),
        (FakeInbox(), NotSent("x"), 1, ["mark", "unmark"]),
        (FakeInbox(attempt=MAX_ATTEMPTS), NotSent("x"), 1, ["mark", DEAD]),
    ],
)
async def test_state_decides(
    inbox: FakeInbox, failure: Exception | None, sends: int, asked: list[Any]
) -> None:
    """Only a message that is ours, in its turn and marked is sent, and its outcome settles the mark."""
    messenger = FakeMessenger(failure)
    await answer(inbox, messenger)
    assert (len(messenger.sent), inbox.asked) == (sends, asked)


@pytest.mark.parametrize(
    ("failure", "last"), [(None, SENT), (NotSent("x"), "unmark"), (OutcomeUnknown("x"), UNKNOWN)]
)
async def test_outcome_survives_redis_being_away(failure: Exception | None, last: Any) -> None:
    """What is known about a reply is written down as soon as Redis is back; it is not sent a second time."""
    inbox, messenger = FakeInbox(away=2), FakeMessenger(failure)
    await answer(inbox, messenger)
    assert (len(messenger.sent), inbox.asked) == (1, ["mark", last])


async def test_bug_leaves_the_message_pending() -> None:
    """An error of ours ends neither the worker nor the message: it is logged, and tried again later."""
    inbox = FakeInbox()
    (line,) = await answer(inbox, FakeMessenger(), body=b"not an event")
    assert (line["event"], line["outcome"], inbox.asked) == ("Message failed", "failed", [])


@pytest.mark.parametrize(
    ("failure", "msg", "kind"),
    [(None, "Message processed", "processed"), (NotSent("x"), "Message failed", "failed")],
)
async def test_lines_have_the_runbooks_fields(failure: Exception | None, msg: str, kind: str) -> None:
    """Each end of an attempt is one line with the webhook's request id."""
    (line,) = await answer(FakeInbox(), FakeMessenger(failure))
    assert (line["event"], line["_event"], line["webhook"], line["requestId"]) == (msg, kind, True, "r")
