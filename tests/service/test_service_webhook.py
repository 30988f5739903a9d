"""The webhook endpoint: what becomes of each request, and what is said about it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from on_demand import FULL
from service_kit import (
    CHAT,
    LIMITS,
    PART_OF_NUMBER,
    Fixture,
    RawHeaders,
    build_web,
    call,
    event,
    post,
    signed,
)
from starlette.types import Message

from contracts.webhook import LANE_HEADER, WEBHOOK_PATH, encode, message_event
from service.event import parse_event
from service.lanes import LIVE, LaneName
from service.messages.replies import Reply
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.telemetry.alarms import Alarm
from service.webhooks.body import DISCARD, read_bounded
from service.webhooks.rejected import (
    BodyTimeout,
    InvalidSignature,
    Malformed,
    MemoryFull,
    QueueFull,
    RateLimited,
    Rejected,
    TooLarge,
    Unavailable,
)


async def send(web: Fixture, headers: RawHeaders, chunks: list[bytes], *, ends: bool = True) -> int | None:
    """Post *chunks*; the status, or None without an answer."""
    answer = await call(web.app, "POST", WEBHOOK_PATH, headers=headers, chunks=chunks, ends=ends)
    return answer.status if answer else None


def outcomes(web: Fixture) -> dict[str, float]:
    """The webhooks counted so far, by outcome; those that there were none of are left out."""
    (family,) = web.web.metrics.webhooks.collect()
    counted = [sample for sample in family.samples if sample.name.endswith("_total") and sample.value]
    return {sample.labels["outcome"]: sample.value for sample in counted}


async def test_message_is_accepted_with_its_bytes(web: Fixture) -> None:
    """A signed message is 202 with its id, and its bytes as sent are handed on with id, chat and time."""
    body = event(chat_id=CHAT, message_id="AAA")
    answer = await post(web.app, body, signed(body, X_Webhook_Request_Id="waha-1"))
    assert (answer.status, answer.json) == (202, {"status": "accepted", "messageId": f"false_{CHAT}_AAA"})
    ((lane, taken),) = web.admission.taken
    assert (lane, taken.body, taken.request_id, taken.address) == (LIVE, body, "waha-1", "192.0.2.7")
    assert PART_OF_NUMBER not in taken.chat


async def test_chats_of_two_sessions_are_two(web: Fixture) -> None:
    """The same person in another session is another chat, and the same one in each message of a session."""
    for session in ("a", "b", "a"):
        await post(web.app, event(session=session))
    first, other, again = (arrival.chat for _, arrival in web.admission.taken)
    assert first == again != other


async def test_duplicate_is_200(web: Fixture) -> None:
    """The same message again, be it through WAHA's other event, is 200 and not taken again."""
    first, second = (event(chat_id=CHAT, message_id="AAA", event=name) for name in ("message", "message.any"))
    assert (await post(web.app, first)).status == 202
    answer = await post(web.app, second)
    assert (answer.status, answer.json["status"]) == (200, "duplicate")
    assert len(web.admission.taken) == 1


async def test_unwanted_event_is_200_and_counted(web: Fixture) -> None:
    """An event that will not be answered gets 200: any other answer would be retried sixteen times."""
    answer = await post(web.app, event(event="session.status"))
    assert (answer.status, answer.json["status"]) == (200, "ignored")
    assert (web.admission.taken, outcomes(web)) == ([], {"ignored": 1.0})


async def test_any_live_event_shows_that_its_session_works(
    web: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that nobody writes to is not silent; only a message makes a tenant active."""
    sessions, tenants = list[str](), list[str]()
    monkeypatch.setattr(web.web.webhook.sessions, "note", lambda name, _ms: sessions.append(name))
    monkeypatch.setattr(web.web.webhook.tenants, "note", lambda name, _ms: tenants.append(name))
    kinds = [
        "message",
        "message.ack",
        "message.reaction",
        "session.status",
        "presence.update",
        "call.received",
    ]
    for kind in kinds:
        await post(web.app, event(event=kind, session=kind))
    gates, unsigned = event(event="message.ack", session="gate"), event(event="message.ack", session="nobody")
    await post(web.app, gates, signed(gates, **{LANE_HEADER: "1"}))
    await post(web.app, unsigned, [])
    assert (sessions, tenants) == (kinds, ["message"])


async def test_text_that_comes_after_its_blank_message_is_taken(web: Fixture) -> None:
    """The blank one is ignored, and makes the text under the same id no duplicate."""
    blank, text = (event(body, message_id="A") for body in ("", "do you have a table?"))
    first, second = await post(web.app, blank), await post(web.app, text)
    assert (first.status, first.json) == (200, {"status": "ignored", "reason": "nobody wrote anything"})
    assert (second.status, [taken.body for _, taken in web.admission.taken]) == (202, [text])


async def test_lane_follows_the_header(web: Fixture) -> None:
    """With the gate's header the message goes to this release's own lane, whatever the header's value."""
    await post(web.app, event())
    body = event()
    await post(web.app, body, signed(body, **{LANE_HEADER: ""}))
    assert [lane.name for lane, _ in web.admission.taken] == [LaneName.LIVE, LaneName.GATE]
    assert web.admission.taken[1][0].stream == "{wa}:gate:r-test:messages"


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"),
    [
        (RateLimited("x", retry_after_s=7), 429, "7"),
        (QueueFull("x", retry_after_s=5), 503, "5"),
        (Unavailable("x", retry_after_s=2), 503, "2"),
    ],
)
async def test_refusal_says_when_to_come_back(
    web: Fixture, refusal: Rejected, status: int, retry_after: str
) -> None:
    """What may be tried again carries Retry-After and the error's code, and is counted under it."""
    web.admission.refusal = refusal
    answer = await post(web.app, event())
    assert (answer.status, answer.headers["retry-after"]) == (status, retry_after)
    assert answer.json == {"error": {"code": refusal.code, "message": "x"}}
    assert outcomes(web) == {refusal.code: 1.0}


async def test_a_full_memory_is_an_alarm(web: Fixture) -> None:
    """Nothing empties it by itself, unlike a queue; that one is told of by its metric."""
    for refusal in (QueueFull("x", retry_after_s=5), MemoryFull("x", retry_after_s=5)):
        web.admission.refusal = refusal
        await post(web.app, event())
    assert web.alarms.raised == [(Alarm.MEMORY_FULL, {"code": "memory"})]


@pytest.mark.parametrize(
    ("age_s", "status"), [(0, 202), (7100, 202), (-7100, 202), (7300, 401), (-7300, 401)]
)
async def test_event_from_another_time_is_401(web: Fixture, age_s: int, status: int) -> None:
    """A signed event is only taken within the tolerance: an old recording cannot be played back."""
    whole = message_event("x", chat_id=CHAT)
    whole["timestamp"] -= age_s * 1000
    body = encode(whole)
    answer = await post(web.app, body, signed(body, X_Webhook_Timestamp=str(int(time.time() * 1000))))
    assert answer.status == status
    if status == 401:
        assert answer.json["error"]["code"] == "stale_event"


async def test_rate_limit_is_logged_in_the_runbooks_words(web: Fixture) -> None:
    """The line is a security line with the address."""
    web.admission.refusal = RateLimited("x", retry_after_s=7)
    await post(web.app, event())
    (line,) = web.lines("Rate limit exceeded for IP")
    assert (line["security"], line["action"], line["ip"]) == (True, "rate_limit", "192.0.2.7")


@pytest.mark.parametrize(
    ("refusal", "alarm"),
    [
        (RateLimited("x", retry_after_s=7), Alarm.RATE_LIMITED),
        (InvalidSignature("x"), Alarm.SIGNATURE_FAILURES),
        (Malformed("x"), Alarm.INVALID_PAYLOAD),
        (QueueFull("x", retry_after_s=5), None),
    ],
)
async def test_refusals_that_concern_a_person_are_alarms(
    web: Fixture, refusal: Rejected, alarm: Alarm | None
) -> None:
    """Rate limits, wrong signatures and wrong payloads are told of; a full queue shows in the metrics."""
    web.admission.refusal = refusal
    await post(web.app, event())
    assert [raised for raised, _ in web.alarms.raised] == ([alarm] if alarm else [])


async def test_blocked_address_is_403(web: Fixture) -> None:
    """Nothing of what a blocked address sends is looked at; the line says so as a matter of security."""
    web.web.webhook.blocklist._put_in_force(frozenset([b"192.0.2.0/24"]))
    answer = await post(web.app, event())
    assert (answer.status, answer.json["error"]["code"]) == (403, "blocked")
    (line,) = web.lines("Webhook from a blocked address")
    assert (line["security"], line["action"], line["ip"]) == (True, "blocked", "192.0.2.7")
    assert (web.admission.taken, outcomes(web)) == ([], {"blocked": 1.0})


async def test_the_gate_does_not_heed_the_blocklist(web: Fixture) -> None:
    """Only we reach its lane: a network that holds our own address must not refuse every release."""
    web.web.webhook.blocklist._put_in_force(frozenset([b"0.0.0.0/0"]))
    body = event()
    assert (await post(web.app, body)).status == 403
    assert (await post(web.app, body, signed(body, **{LANE_HEADER: "1"}))).status == 202
    assert [lane.name for lane, _ in web.admission.taken] == [LaneName.GATE]


async def test_lines_tell_the_way_of_a_message(web: Fixture) -> None:
    """Received, then verified, each with the request's id."""
    body = event()
    await post(web.app, body, signed(body, X_Webhook_Request_Id="waha-1"))
    told = [(line["event"], line["requestId"], line["webhook"]) for line in web.told]
    assert told == [("received", "waha-1", True), ("verified", "waha-1", True)]


async def test_nothing_personal_is_logged(web: Fixture) -> None:
    """Neither text nor number stands in any line, whatever becomes of the webhook."""
    whole = message_event("a very private text", chat_id=CHAT)
    for body in (
        encode(whole),
        encode(whole),
        encode(whole)[:-2],
        encode({**whole, "session": "a\nvery private"}),
    ):
        await post(web.app, body)
        await post(web.app, body, [])
    said = str(web.logs.entries) + str(web.told)
    assert len(web.logs.entries) + len(web.told) > 12
    assert ("private" in said, PART_OF_NUMBER in said) == (False, False)


@pytest.mark.integration
async def test_own_message_is_kept_as_proof(store: Store) -> None:
    """What WAHA tells of our own reply proves that it was sent, and is answered as every ignored event."""
    web = build_web(store)
    question = parse_event(event(chat_id=CHAT, message_id="AAA"))
    assert question
    receipts = web.web.webhook.receipts
    await receipts.expect(question, Reply("default", CHAT, "the answer", question.payload_id))
    echo = {"id": f"true_{CHAT}_BBB", "fromMe": True, "replyTo": {"id": "AAA"}}
    answer = await post(web.app, event("the answer", chat_id=CHAT, event="message.any", payload=echo))
    assert (answer.status, answer.json["status"]) == (200, "ignored")
    assert await receipts.proof(question) == "the answer"


async def test_own_message_is_told_again_when_redis_is_away(web: Fixture) -> None:
    """Without Redis a proof would be lost: WAHA is asked to send it again."""
    answer = await post(web.app, event(payload={"fromMe": True}))
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")


class TestBody:
    """Bodies: bounded, whatever the headers say."""

    async def test_chunks_are_put_together(self, web: Fixture) -> None:
        """A body may come in any pieces."""
        body = event()
        assert await send(web, signed(body), [body[:1], b"", body[1:100], body[100:], b""]) == 202

    @pytest.mark.parametrize("announced", [None, b"1", b"100000", b"9" * 5000])
    async def test_long_body_is_413(self, web: Fixture, announced: bytes | None) -> None:
        """More bytes than allowed are 413, announced or not, chunked or not, and the connection is closed."""
        body = event("x" * LIMITS.max_body_bytes)
        headers = signed(body) + ([(b"content-length", announced)] if announced else [])
        answer = await call(web.app, "POST", WEBHOOK_PATH, headers=headers, chunks=[body[:9000], body[9000:]])
        assert answer
        assert (answer.status, answer.headers["connection"]) == (413, "close")

    async def test_endless_body_ends(self) -> None:
        """A body without end is left after a few times the limit: memory and time are bounded."""
        chunks = 0

        async def receive() -> Message:
            nonlocal chunks
            chunks += 1
            return {"type": "http.request", "body": b"x" * 10, "more_body": True}

        with pytest.raises(TooLarge):
            await read_bounded(receive, max_bytes=10, timeout_s=30)
        assert chunks == DISCARD + 1

    async def test_longest_body_is_taken(self, web: Fixture) -> None:
        """Exactly the limit is allowed."""
        body = event("")
        body = event("x" * (LIMITS.max_body_bytes - len(body)))
        body += b" " * (LIMITS.max_body_bytes - len(body))
        assert await send(web, signed(body), [body]) == 202

    async def test_slow_body_is_given_up(self) -> None:
        """A body that does not come to its end in time is given up."""
        silent = asyncio.Event()

        async def receive() -> Message:
            await silent.wait()
            raise AssertionError

        with pytest.raises(BodyTimeout):
            await read_bounded(receive, max_bytes=10, timeout_s=0.02)

    async def test_hanging_up_leaves_nothing(self, web: Fixture) -> None:
        """A client that goes in the middle of its body gets no answer, and what it sent is not taken."""
        body = event()
        assert await send(web, signed(body), [body], ends=False) is None
        assert (web.admission.taken, outcomes(web)) == ([], {"disconnected": 1.0})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        b"content-length",
        b"content-type",
        b"transfer-encoding",
        b"x-forwarded-for",
        b"x-gate-lane",
        b"x-request-id",
        b"x-webhook-hmac",
        b"x-webhook-hmac-algorithm",
        b"x-webhook-request-id",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=140)), max_size=6)


@st.composite
def changed_events(draw: st.DrawFn) -> bytes:
    """A message event with some parts replaced by arbitrary JSON."""
    whole: dict[str, Any] = message_event("hello", chat_id=CHAT)
    payload = whole["payload"]
    for part in (whole, payload):
        part.update(draw(st.dictionaries(st.sampled_from(sorted(part)), JSON, max_size=2)))
    return json.dumps(whole).encode()


FUZZ = settings(max_examples=300 if FULL else 60)


async def fuzz(redis_url: str, body: bytes, headers: RawHeaders) -> int | None:
    """The status for one generated request at a new application."""
    store = RedisStore(redis_url, timeout_s=30)
    try:
        return await send(build_web(store, trust_proxy=True), headers, [body])
    finally:
        await store.aclose()


class TestNever5xx:
    """Generated requests: whatever comes, the answer is the sender's fault or a success.

    With a Redis, where messages of our own are noted: without one they are 503, to be told again.
    """

    @FUZZ
    @given(body=st.binary(max_size=300), headers=HEADERS)
    async def test_of_any_bytes_and_headers(
        self, redis_server: str, body: bytes, headers: RawHeaders
    ) -> None:
        """Bytes and headers without meaning are refused."""
        status = await fuzz(redis_server, body, headers)
        assert status is not None
        assert 400 <= status < 500

    @FUZZ
    @given(body=st.binary(max_size=300), headers=HEADERS)
    async def test_of_signed_bytes(self, redis_server: str, body: bytes, headers: RawHeaders) -> None:
        """Bytes without meaning are refused although signed."""
        status = await fuzz(redis_server, body, headers + signed(body))
        assert status is not None
        assert 400 <= status < 500

    @FUZZ
    @given(value=JSON)
    async def test_of_any_signed_json(self, redis_server: str, value: Any) -> None:
        """Any JSON value, signed, is refused or ignored."""
        body = json.dumps(value).encode()
        assert await fuzz(redis_server, body, signed(body)) in (200, 400)

    @FUZZ
    @given(body=changed_events())
    async def test_of_changed_events(self, redis_server: str, body: bytes) -> None:
        """Events that are wrong in a few places are taken, ignored or refused, for their time too."""
        assert await fuzz(redis_server, body, signed(body)) in (200, 202, 400, 401)

    @FUZZ
    @given(text=st.text(st.characters(codec=None)))
    async def test_of_our_own_messages(self, redis_server: str, text: str) -> None:
        """Our own messages are noted, and so ignored, whatever their text."""
        whole: dict[str, Any] = message_event("", chat_id=CHAT)
        whole["payload"].update(fromMe=True, body=text)
        body = json.dumps(whole).encode()
        assert await fuzz(redis_server, body, signed(body)) == 200
