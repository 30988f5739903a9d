"""WAHA's API: polite where that costs nothing, and an outcome that is never guessed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from peer_kit import Answer, Peer, answering, hang_up, nonsense, running_peer, silence, trickle
from prometheus_client import CollectorRegistry
from service_kit import RecordedAlarms, event, free_port

from service.event import Message, parse_event
from service.messages.messenger import NotSent, OutcomeUnknown
from service.messages.outbound import OutboundMetrics
from service.messages.replies import Reply
from service.messages.waha import MANNERS_REST_S, Waha, waha_session
from service.telemetry.alarms import Alarm

REPLY = Reply("default", "1@c.us", "a very private text", "false_1@c.us_A")
TIMEOUT_S = 0.3


class Rig:
    """The messenger with what the tests look at."""

    def __init__(self, http: ClientSession, *, is_polite: bool) -> None:
        registry, self.alarms = CollectorRegistry(), RecordedAlarms()
        self.waha = Waha(
            http,
            timeout_s=TIMEOUT_S,
            is_polite=is_polite,
            metrics=OutboundMetrics(registry),
            alarms=self.alarms,
            clock=lambda: self.now_s,
        )
        self.now_s = 0.0
        self._registry = registry

    def counted(self, operation: str, outcome: str) -> float:
        """How many calls of WAHA ended so."""
        labels = {"service": "waha", "operation": operation, "outcome": outcome}
        return self._registry.get_sample_value("outbound_duration_seconds_count", labels) or 0


@asynccontextmanager
async def rig_at(url: str, *, is_polite: bool = True, api_key: str = "key") -> AsyncIterator[Rig]:
    """The messenger of a WAHA at *url*."""
    async with waha_session(url, api_key, connect_timeout_s=TIMEOUT_S) as http:
        yield Rig(http, is_polite=is_polite)


@asynccontextmanager
async def rig_before(answer: Answer, path: str = "") -> AsyncIterator[tuple[Rig, Peer]]:
    """The messenger of a WAHA that does *answer*, perhaps under a path."""
    async with running_peer(answer) as peer, rig_at(peer.url + path) as rig:
        yield rig, peer


def message() -> Message:
    """A message to be answered."""
    found = parse_event(event("hello", chat_id="1@c.us", message_id="A"))
    assert isinstance(found, Message)
    return found


async def test_waha_gets_the_reply() -> None:
    """One request with session, chat, text and the message replied to, and the key."""
    async with rig_before(answering(201)) as (rig, peer):
        await rig.waha.send_text(REPLY)
    (request,) = peer.requests
    assert (request.path, request.headers["x-api-key"]) == ("/api/sendText", "key")
    assert request.content == {
        "session": "default",
        "chatId": "1@c.us",
        "text": "a very private text",
        "reply_to": "false_1@c.us_A",
    }
    assert rig.counted("sendText", "ok") == 1


async def test_waha_may_be_under_a_path() -> None:
    """The URL's own path stays, as with the sandbox's WAHA."""
    async with rig_before(answering(201), "/waha") as (rig, peer):
        await rig.waha.send_text(REPLY)
    assert peer.paths == ["/waha/api/sendText"]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 422, 429, 500, 502, 503])
async def test_refusal_is_surely_not_sent(status: int) -> None:
    """An answer that is no success says that nothing was sent; it is not followed elsewhere."""
    async with rig_before(answering(status, b'{"text": "private"}')) as (rig, peer):
        with pytest.raises(NotSent, match=str(status)) as refused:
            await rig.waha.send_text(REPLY)
    assert "private" not in str(refused.value)
    assert (len(peer.requests), rig.counted("sendText", "refused")) == (1, 1)


async def test_no_connection_is_surely_not_sent() -> None:
    """Before there is a connection nothing can have been sent; somebody is told."""
    async with rig_at(f"http://127.0.0.1:{free_port()}") as rig:
        with pytest.raises(NotSent):
            await rig.waha.send_text(REPLY)
    assert [alarm for alarm, _ in rig.alarms.raised] == [Alarm.WAHA_UNREACHABLE]
    assert rig.counted("sendText", "unreachable") == 1


async def test_name_that_is_none_is_surely_not_sent() -> None:
    """A host that is not known was not asked."""
    async with rig_at("http://waha.invalid") as rig:
        with pytest.raises(NotSent):
            await rig.waha.send_text(REPLY)


@pytest.mark.parametrize("answer", [silence, hang_up, nonsense, trickle, answering(504)])
async def test_silence_leaves_the_outcome_unknown(answer: Answer) -> None:
    """Once a byte may be with WAHA, no answer means unknown, within the timeout."""
    async with rig_before(answer) as (rig, peer):
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await rig.waha.send_text(REPLY)
        assert time.monotonic() - started < TIMEOUT_S + 1
    assert len(peer.requests) == 1


async def test_answer_that_never_ends_was_given() -> None:
    """The status says that it is sent, however long the rest of the answer takes."""

    async def begin(_request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")

    async with rig_before(begin) as (rig, _):
        await rig.waha.send_text(REPLY)


async def test_manners_come_in_waha_s_order() -> None:
    """Seen, with the message's id, then typing; then no longer."""
    async with rig_before(answering(201)) as (rig, peer):
        await rig.waha.begin(message())
        await rig.waha.finish(message())
    chat = {"session": "default", "chatId": "1@c.us"}
    assert [(request.path, request.content) for request in peer.requests] == [
        ("/api/sendSeen", {**chat, "messageIds": ["false_1@c.us_A"]}),
        ("/api/startTyping", chat),
        ("/api/stopTyping", chat),
    ]


async def test_refused_manners_are_counted_and_passed_over() -> None:
    """An engine that cannot do one of them is asked for the others all the same."""
    async with rig_before(answering(500)) as (rig, peer):
        await rig.waha.begin(message())
        await rig.waha.finish(message())
    assert (len(peer.requests), rig.counted("sendSeen", "refused")) == (3, 1)


async def test_manners_cost_a_silent_waha_s_timeout_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one that got no answer all are left out for a while, and then tried again."""
    monkeypatch.setattr("service.messages.waha.MANNERS_TIMEOUT_S", 0.05)
    async with rig_before(silence) as (rig, peer):
        await rig.waha.begin(message())
        for _ in range(20):
            await rig.waha.begin(message())
            await rig.waha.finish(message())
        assert peer.paths == ["/api/sendSeen"]
        assert rig.counted("sendSeen", "unanswered") == 1
        rig.now_s += MANNERS_REST_S
        await rig.waha.finish(message())
        assert peer.paths == ["/api/sendSeen", "/api/stopTyping"]


async def test_dead_waha_costs_no_manners() -> None:
    """Where nobody listens one attempt is made, and the reply's own decides."""
    async with rig_at(f"http://127.0.0.1:{free_port()}") as rig:
        await rig.waha.begin(message())
        await rig.waha.finish(message())
    counts = [rig.counted(name, "unreachable") for name in ("sendSeen", "startTyping", "stopTyping")]
    assert counts == [1, 0, 0]


async def test_manners_can_be_switched_off() -> None:
    """Without WAHA_TYPING nothing but replies is sent."""
    async with running_peer(answering(201)) as peer, rig_at(peer.url, is_polite=False) as rig:
        await rig.waha.begin(message())
        await rig.waha.finish(message())
        await rig.waha.send_text(REPLY)
    assert peer.paths == ["/api/sendText"]
