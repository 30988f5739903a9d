"""A worker tells Inngest of a message and leaves it in the stream; what Inngest leaves undone, it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog
from inngest_kit import EVENT_KEY, LEASE_S, FakeAnswering, enqueue, hands_of, inbox_of, read_all
from prometheus_client import CollectorRegistry
from service_kit import PART_OF_NUMBER
from store_kit import pass_by
from structlog.testing import LogCapture

from service.by_inngest.custody import HOLDER
from service.by_inngest.events import Events, NotTold
from service.by_inngest.forwarding import FORWARDS, Forwarding, ForwardingMetrics
from service.event import parse_event
from service.lanes import GROUP, LIVE, gate_lane
from service.messages.inbox import Entry, TakeState
from service.storage.store import Store

TEXT = "hello"


class Api:
    """Inngest's event API: keeps what it got, and answers as told."""

    def __init__(self, answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, json={})) -> None:
        self.answer = answer
        self.requests: list[tuple[str, Any]] = []

    def events(self) -> Events:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append((request.url.raw_path.decode(), json.loads(request.content)))
            return self.answer()

        client = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://inngest/base")
        return Events(client, EVENT_KEY)


def refuse(status: int) -> Callable[[], httpx.Response]:
    """An answer with this status."""
    return lambda: httpx.Response(status)


def break_off() -> httpx.Response:
    """No answer."""
    raise httpx.ReadTimeout("no answer")


def forwarding_of(store: Store, api: Api, consumer: str = "w") -> tuple[Forwarding, FakeAnswering]:
    """A worker that forwards to *api*, and how it answers itself."""
    inbox = inbox_of(store, consumer)
    answering = FakeAnswering(inbox)
    forwarding = Forwarding(
        inbox=inbox,
        hands=hands_of(store, consumer),
        events=api.events(),
        answering=answering,  # type: ignore[arg-type]  # it has what is used
        release="r-test",
        metrics=ForwardingMetrics(CollectorRegistry()),
        log=structlog.wrap_logger(None, processors=[LogCapture()]),
    )
    return forwarding, answering


async def holders(store: Store) -> list[bytes]:
    """Who holds the pending messages, in their order."""
    return [found[1] for found in await store.call("XPENDING", LIVE.stream, GROUP, "-", "+", 100)]


@pytest.mark.integration
class TestForwarding:
    """Over a real Redis."""

    async def test_inngest_is_told_where_the_message_stands(self, store: Store) -> None:
        """The event's id is the message's identity, and it carries no text, no number and no key."""
        await enqueue(store, "15551234567")
        api = Api()
        forwarding, answering = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        await forwarding.handle(entry)
        ((path, sent),) = api.requests
        message = parse_event(entry.fields[b"event"])
        assert message
        assert (path, sent["name"], sent["id"]) == (
            f"/base/e/{EVENT_KEY}",
            "whatsapp/message.received",
            message.identity,
        )
        assert sent["data"] == {
            "entry": entry.id,
            "chat": entry.chat,
            "requestId": entry.request_id,
            "release": "r-test",
        }
        assert PART_OF_NUMBER not in json.dumps(sent)
        assert (await holders(store), answering.answered) == ([HOLDER.encode()], [])

    async def test_message_is_in_inngests_hand_before_it_is_told(self, store: Store) -> None:
        """A run that is called before the API has answered finds the message in Inngest's hand."""
        await enqueue(store, "1")
        held: list[bytes] = []
        api = Api()
        forwarding, _ = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)

        class Looking(Events):
            async def send(self, event_id: str, data: dict[str, Any]) -> None:
                held.extend(await holders(store))

        object.__setattr__(forwarding, "events", Looking(httpx.AsyncClient(), EVENT_KEY))
        await forwarding.handle(entry)
        assert held == [HOLDER.encode()]

    @pytest.mark.parametrize("answer", [refuse(500), refuse(401), break_off])
    async def test_what_inngest_was_not_told_is_retried(
        self, store: Store, answer: Callable[[], httpx.Response]
    ) -> None:
        """Without Inngest's word the message is the worker's again, and due after the pause of an attempt."""
        await enqueue(store, "1")
        api = Api(answer)
        forwarding, answering = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        await forwarding.handle(entry)
        assert await holders(store) == [b"w"]
        await asyncio.sleep(0.05)
        (again,) = await forwarding.inbox.due(LIVE, ())
        api.answer = refuse(200)
        await forwarding.handle(again)
        assert (await holders(store), answering.answered) == ([HOLDER.encode()], [])
        assert api.requests[0] == api.requests[1]

    async def test_worker_answers_what_inngest_does_not_get_done(self, store: Store) -> None:
        """Told so many times, and not run within a lease each time, the message is answered by a worker."""
        await enqueue(store, "1")
        api = Api()
        forwarding, answering = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        await forwarding.handle(entry)
        for _ in range(FORWARDS):
            assert answering.answered == []
            await pass_by(store, LEASE_S)
            (left,) = await forwarding.inbox.due(LIVE, ())
            await forwarding.handle(left)
        assert answering.answered == [(entry.id, TakeState.GO, FORWARDS + 1)]
        assert len(api.requests) == FORWARDS
        assert await store.call("XLEN", LIVE.stream) == 0

    async def test_chats_later_message_waits(self, store: Store) -> None:
        """Inngest is told of a chat's next message when the one before is done."""
        await enqueue(store, "1", "1")
        api = Api()
        forwarding, _ = forwarding_of(store, api)
        first, second = await read_all(forwarding.inbox)
        await forwarding.handle(second)
        await forwarding.handle(first)
        assert [sent["data"]["entry"] for _, sent in api.requests] == [first.id]
        await hands_of(store, "web").receive(first.id)
        await inbox_of(store, "web").finish(first)
        (due,) = await forwarding.inbox.due(LIVE, ())
        await forwarding.handle(due)
        assert [sent["data"]["entry"] for _, sent in api.requests] == [first.id, second.id]

    async def test_unknown_outcome_is_not_forwarded(self, store: Store) -> None:
        """What somebody began to send and did not end is recorded, not run once more."""
        await enqueue(store, "1")
        api = Api()
        forwarding, answering = forwarding_of(store, api)
        dead = inbox_of(store, "dead")
        (entry,) = await read_all(dead)
        await dead.mark(entry, 1)
        await pass_by(store, LEASE_S)
        (left,) = await forwarding.inbox.due(LIVE, ())
        await forwarding.handle(left)
        assert (answering.answered, api.requests) == ([(entry.id, TakeState.UNKNOWN, 2)], [])

    async def test_replayed_message_is_a_new_event(self, store: Store) -> None:
        """Inngest must run a replayed message, though it has taken its identity within 24 hours."""
        await enqueue(store, "1")
        api = Api()
        forwarding, _ = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        replayed = Entry(LIVE, entry.id, entry.fields | {b"replayed": b"1"})
        await forwarding.handle(replayed)
        message = parse_event(entry.fields[b"event"])
        assert message
        assert api.requests[0][1]["id"] == f"{message.identity}:{entry.id}"

    async def test_no_message_is_the_workers(self, store: Store) -> None:
        """An entry that holds no message goes the way that makes it a dead letter."""
        await enqueue(store, "1")
        api = Api()
        forwarding, answering = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        await forwarding.handle(Entry(LIVE, entry.id, entry.fields | {b"event": b"{}"}))
        assert (len(answering.answered), api.requests) == (1, [])

    async def test_gates_messages_are_the_workers(self, store: Store) -> None:
        """A gate's message is answered by its release's worker: Inngest would call the live release."""
        await enqueue(store, "1")
        api = Api()
        forwarding, answering = forwarding_of(store, api)
        (entry,) = await read_all(forwarding.inbox)
        await forwarding.inbox.open(gate_lane("r-test"))
        await forwarding.handle(Entry(gate_lane("r-test"), entry.id, entry.fields))
        assert ([entry_id for entry_id, _, _ in answering.answered], api.requests) == ([entry.id], [])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(refuse(503), "HTTP 503"), (refuse(302), "HTTP 302"), (break_off, "ReadTimeout")],
)
async def test_reason_has_no_key(answer: Callable[[], httpx.Response], reason: str) -> None:
    """Why Inngest was not told can be logged: the key, which is part of the URL, is not in it."""
    with pytest.raises(NotTold, match=reason) as error:
        await Api(answer).events().send("id", {})
    assert EVENT_KEY not in str(error.value)
