"""WAHA's API: polite where that costs nothing, and an outcome that is never guessed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession
from msgspec import structs
from peer_kit import Answer, Peer, answering, first, hang_up, nonsense, running_peer, silence, trickle
from prometheus_client import CollectorRegistry
from service_kit import SESSION_STOPPED, RecordedAlarms, event

from contracts.free_ports import free_port
from service.event import Message, parse_event
from service.messages.messenger import NotSent, OutcomeUnknown, SendDeferred, SendRefused
from service.messages.outbound import OutboundMetrics
from service.messages.replies import Reply
from service.messages.waha import MANNERS_REST_S, MAX_SILENCES, STOPPED_REST_S, Waha, waha_session
from service.telemetry.alarms import Alarm

REPLY = Reply("default", "1@c.us", "a very private text", "false_1@c.us_A")
SHORT_S = 0.6
"""Where WAHA does not answer. Elsewhere a call ends with its answer, however slow the machine is."""


class Rig:
    """The messenger with what the tests look at."""

    def __init__(self, http: ClientSession, *, is_polite: bool, timeout_s: float) -> None:
        registry, self.alarms = CollectorRegistry(), RecordedAlarms()
        self.waha = Waha(
            http,
            timeout_s=timeout_s,
            write_timeout_s=20,
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
async def rig_at(
    url: str, *, is_polite: bool = True, api_key: str = "key", timeout_s: float = 30
) -> AsyncIterator[Rig]:
    """The messenger of a WAHA at *url*."""
    async with waha_session(url, api_key, connect_timeout_s=timeout_s) as http:
        yield Rig(http, is_polite=is_polite, timeout_s=timeout_s)


@asynccontextmanager
async def rig_before(
    answer: Answer, path: str = "", timeout_s: float = 30
) -> AsyncIterator[tuple[Rig, Peer]]:
    """The messenger of a WAHA that does *answer*, perhaps under a path."""
    async with running_peer(answer) as peer, rig_at(peer.url + path, timeout_s=timeout_s) as rig:
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


@pytest.mark.parametrize("status", [301, 307, 401, 403, 405, 413, 415, 429])
async def test_refusal_is_surely_not_sent(status: int) -> None:
    """What no engine heard of was not sent; it is asked once, and not followed elsewhere."""
    async with rig_before(answering(status, b'{"text": "private"}')) as (rig, peer):
        with pytest.raises(NotSent, match=str(status)) as refused:
            await rig.waha.send_text(REPLY)
    assert "private" not in str(refused.value)
    assert type(refused.value) is (SendDeferred if status == 429 else SendRefused)
    assert (len(peer.requests), rig.counted("sendText", "refused")) == (1, 1)


@pytest.mark.parametrize("status", [408, 409, 418, 500, 501, 502, 503, 504, 599])
async def test_what_is_not_surely_refused_is_unknown(status: int) -> None:
    """A 500 is any exception, one after the text was sent too: nobody may send it again for that."""
    async with rig_before(answering(status, b'{"text": "private"}')) as (rig, peer):
        with pytest.raises(OutcomeUnknown, match=str(status)) as unknown:
            await rig.waha.send_text(REPLY)
    assert "private" not in str(unknown.value)
    assert len(peer.requests) == 1


def failed(message: object, text: str = REPLY.text) -> bytes:
    """The body of WAHA's 500: what went wrong, and the request as it came."""
    return json.dumps(
        {
            "statusCode": 500,
            "exception": {"message": message, "name": "Error"},
            "request": {"path": "/api/sendText", "body": {"text": text, "reply_to": REPLY.reply_to}},
        }
    ).encode()


QUOTE_REFUSED: dict[str, Answer] = {
    "WEBJS": answering(500, failed("Evaluation failed: Error: Could not get the quoted message.\n  at X")),
    "WPP": answering(500, failed("Quoted msg false_1@c.us_A not found")),
    "WPP by its id": answering(500, failed("Message false_1@c.us_A not found")),
    "WPP, invalid": answering(500, failed("Error: Invalid quotedMsg")),
    "WPP, no reply": answering(500, failed("QuotedMsg can not reply")),
    "400": answering(400),
    "404": answering(404),
    "422": answering(422, b'{"error": "Unprocessable Entity", "message": "no such message"}'),
    "422 without words": answering(422),
}


@pytest.mark.parametrize("refusal", QUOTE_REFUSED.values(), ids=QUOTE_REFUSED)
async def test_text_goes_out_without_a_quote_that_waha_cannot_find(refusal: Answer) -> None:
    """Where the message answered is not there any more, the customer gets the text all the same, once."""
    async with rig_before(first(refusal, answering(201))) as (rig, peer):
        await rig.waha.send_text(REPLY)
    quoted, plain = (request.content for request in peer.requests)
    assert quoted == {**plain, "reply_to": REPLY.reply_to}
    assert plain == {"session": "default", "chatId": "1@c.us", "text": REPLY.text}


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_refusal_without_the_quote_is_one(status: int) -> None:
    """It was not for the quote: surely not sent, and asked no third time."""
    async with rig_before(answering(status)) as (rig, peer):
        with pytest.raises(NotSent, match=str(status)) as refused:
            await rig.waha.send_text(REPLY)
    assert isinstance(refused.value, SendRefused) == (status != 422)
    assert len(peer.requests) == 2


STOPPED = answering(422, json.dumps(SESSION_STOPPED).encode())


class TestStoppedSession:
    """A session that does not work; WAHA takes up to 5 s to say so, each time."""

    async def test_waha_is_not_asked_for_it_again_at_once(self) -> None:
        """Its messages are surely not sent, and nobody is shown typing; other sessions' go out."""
        async with rig_before(first(STOPPED, answering(201))) as (rig, peer):
            for _ in range(3):
                with pytest.raises(NotSent) as refused:
                    await rig.waha.send_text(REPLY)
                assert not isinstance(refused.value, SendRefused)
            await rig.waha.begin(message())
            await rig.waha.finish(message())
            assert len(peer.requests) == 1, "neither without the quote nor for the next ones"
            await rig.waha.send_text(replace(REPLY, session="other"))
            assert len(peer.requests) == 2

    async def test_it_is_tried_again_soon(self) -> None:
        """When it works again all is as before."""
        async with rig_before(first(STOPPED, answering(201))) as (rig, peer):
            with pytest.raises(NotSent):
                await rig.waha.send_text(REPLY)
            rig.now_s += STOPPED_REST_S
            for _ in range(2):
                await rig.waha.send_text(REPLY)
            await rig.waha.begin(message())
        assert peer.paths == ["/api/sendText"] * 3 + ["/api/sendSeen", "/api/startTyping"]

    async def test_one_of_its_messages_tries(self) -> None:
        """The others do not wait in slots of their own for what that one hears."""
        async with rig_before(STOPPED) as (rig, peer):
            for _ in range(3):
                replies = [replace(REPLY, reply_to=f"false_1@c.us_{number}") for number in range(5)]
                await asyncio.gather(*map(rig.waha.send_text, replies), return_exceptions=True)
                rig.now_s += STOPPED_REST_S
        assert len(peer.requests) == 5 + 1 + 1

    async def test_a_reply_to_it_need_not_be_written(self) -> None:
        """WAHA is not asked; then one message is written and sent, and the others wait for what it hears."""
        other = structs.replace(message(), payload_id="false_2@c.us_B")
        async with rig_before(first(STOPPED, answering(201))) as (rig, peer):
            rig.waha.require(message())
            with pytest.raises(NotSent):
                await rig.waha.send_text(REPLY)
            for is_next in (False, True):
                with pytest.raises(SendDeferred):
                    rig.waha.require(message(), is_next=is_next)
            rig.now_s += STOPPED_REST_S
            rig.waha.require(message())
            rig.waha.require(other, is_next=True)
            with pytest.raises(SendDeferred):
                rig.waha.require(message())
            assert len(peer.requests) == 1
            await rig.waha.send_text(replace(REPLY, reply_to=other.payload_id))
            rig.waha.require(message(), is_next=True)

    async def test_refusal_that_is_never_told_whole_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its status says already that nothing was sent."""
        monkeypatch.setattr("service.messages.waha.ERROR_TIMEOUT_S", 0.05)

        async def begin(_request: object, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 422 X\r\nContent-Length: 100\r\n\r\n{")

        async with rig_before(begin) as (rig, _):
            with pytest.raises(NotSent):
                await rig.waha.send_text(REPLY)


@pytest.mark.parametrize(
    "body",
    [
        failed("Protocol error: Target closed"),
        failed("Target closed", text="Could not get the quoted message."),
        failed("Message false_1@c.us_B not found"),
        failed(None),
        failed("x" * 100_000 + "Could not get the quoted message."),
        b"Could not get the quoted message.",
        b"[]",
    ],
    ids=["another error", "in our text", "another message", "none", "too long", "no JSON", "no object"],
)
async def test_only_the_engines_own_word_says_that_the_quote_is_lost(body: bytes) -> None:
    """Whatever else stands in the answer of a 500, the text may have been sent."""
    async with rig_before(answering(500, body)) as (rig, peer):
        with pytest.raises(OutcomeUnknown):
            await rig.waha.send_text(REPLY)
    assert len(peer.requests) == 1


async def test_failure_that_is_never_told_whole_is_unknown() -> None:
    """A 500 whose body does not end is given up with the call's time."""

    async def begin(_request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{")

    async with rig_before(begin, timeout_s=SHORT_S) as (rig, _):
        with pytest.raises(OutcomeUnknown):
            await rig.waha.send_text(REPLY)


async def test_no_connection_is_surely_not_sent() -> None:
    """Before there is a connection nothing can have been sent; somebody is told."""
    async with rig_at(f"http://127.0.0.1:{free_port()}") as rig:
        with pytest.raises(NotSent):
            await rig.waha.send_text(REPLY)
    assert [alarm for alarm, _ in rig.alarms.raised] == [Alarm.WAHA_UNREACHABLE]
    assert rig.counted("sendText", "unreachable") == 1


async def test_name_that_is_none_is_surely_not_sent() -> None:
    """A host that is not known was not asked."""
    async with rig_at("http://waha.invalid", timeout_s=SHORT_S) as rig:
        with pytest.raises(NotSent):
            await rig.waha.send_text(REPLY)


@pytest.mark.parametrize("answer", [silence, hang_up, nonsense, trickle])
async def test_silence_leaves_the_outcome_unknown(answer: Answer) -> None:
    """Once a byte may be with WAHA, no answer means unknown, within the timeout."""
    async with rig_before(answer, timeout_s=SHORT_S) as (rig, peer), asyncio.timeout(20):
        with pytest.raises(OutcomeUnknown):
            await rig.waha.send_text(REPLY)
    assert len(peer.requests) == 1


class TestSilentSession:
    """A session for which WAHA accepts what is sent and never answers."""

    async def test_no_more_are_sent_for_a_while(self) -> None:
        """Each would hold a slot for the whole timeout; those are surely not sent. Then one tries."""
        async with rig_before(silence, timeout_s=SHORT_S) as (rig, peer):
            for _ in range(MAX_SILENCES):
                rig.waha.require(message(), is_next=True)
                with pytest.raises(OutcomeUnknown):
                    await rig.waha.send_text(REPLY)
            with pytest.raises(NotSent) as refused:
                rig.waha.require(message())
            assert type(refused.value) is NotSent, "WAHA did not say that the session is stopped"
            with pytest.raises(NotSent):
                await rig.waha.send_text(REPLY)
            rig.now_s += STOPPED_REST_S
            replies = [replace(REPLY, reply_to=f"false_1@c.us_{number}") for number in range(5)]
            ends = await asyncio.gather(*map(rig.waha.send_text, replies), return_exceptions=True)
            assert sorted(type(end).__name__ for end in ends) == [*["NotSent"] * 4, "OutcomeUnknown"]
        assert len(peer.requests) == MAX_SILENCES + 1

    async def test_an_answer_ends_the_row(self) -> None:
        """Of a session that works, single sends may get none."""
        answers = iter([*[silence] * (MAX_SILENCES - 1), answering(201)] * 2)

        async def answer(request: object, writer: asyncio.StreamWriter) -> None:
            await next(answers)(request, writer)  # type: ignore[arg-type]

        async with rig_before(answer, timeout_s=SHORT_S) as (rig, _):
            for _ in range(2):
                for _ in range(MAX_SILENCES - 1):
                    with pytest.raises(OutcomeUnknown):
                        await rig.waha.send_text(REPLY)
                await rig.waha.send_text(REPLY)
            rig.waha.require(message())

    async def test_a_connection_that_breaks_holds_no_slot(self) -> None:
        """Its outcome is known to be unknown at once."""
        async with rig_before(hang_up) as (rig, peer):
            for _ in range(MAX_SILENCES + 1):
                with pytest.raises(OutcomeUnknown):
                    await rig.waha.send_text(REPLY)
        assert len(peer.requests) == MAX_SILENCES + 1


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
    monkeypatch.setattr("service.messages.waha.MANNERS_TIMEOUT_S", 0.3)
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
