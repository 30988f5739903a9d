"""Events: which are messages, which message they are, and what is no event at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from service_kit import CHAT, event

from contracts.webhook import encode, message_event
from service.event import Message, Unwanted, parse_event, session_of
from service.webhooks.rejected import Malformed


def parsed(**more: Any) -> Message | None:
    """The outcome for a message event with changed parts."""
    return parse_event(event(chat_id=CHAT, **more))


def message(**more: Any) -> Message:
    """The message in an event with changed parts."""
    found = parsed(message_id="AAA", **more)
    assert isinstance(found, Message)
    return found


def test_message_has_what_a_reply_needs() -> None:
    """Session, chat, text and the whole id that the reply refers to."""
    found = message()
    assert (found.session, found.chat_id, found.text) == ("default", CHAT, "hello")
    assert (found.payload_id, found.bare_id, found.from_me) == (f"false_{CHAT}_AAA", "AAA", False)


def test_times_are_milliseconds() -> None:
    """The envelope has milliseconds and the payload seconds; both are told in milliseconds."""
    whole = message_event("x", chat_id=CHAT, payload={"timestamp": 1_700_000_000})
    whole["timestamp"] = 1_700_000_001_234
    found = parse_event(encode(whole))
    assert found
    assert (found.event_ms, found.sent_ms) == (1_700_000_001_234, 1_700_000_000_000)


def test_missing_times_are_none() -> None:
    """Old versions of WAHA tell no time; that is no reason to lose a message."""
    whole = message_event("x", chat_id=CHAT)
    del whole["timestamp"], whole["payload"]["timestamp"]
    found = parse_event(encode(whole))
    assert found
    assert (found.event_ms, found.sent_ms) == (None, None)


@pytest.mark.parametrize("value", [None, "1700000000", True, -1, [], 1e300])
def test_times_of_wrong_shape_are_none(value: Any) -> None:
    """What is no time is as if it were missing: the message is there all the same."""
    whole = message_event("x", chat_id=CHAT, payload={"timestamp": value})
    whole["timestamp"] = value
    found = parse_event(encode(whole))
    assert found
    assert (found.event_ms, found.sent_ms) == (None, None)


@pytest.mark.parametrize(
    ("metadata", "tenant"),
    [
        ({"tenant": "acme"}, "acme"),
        ({}, "default"),
        (None, "default"),
        ({"tenant": ""}, "default"),
        ([], "default"),
    ],
)
def test_tenant_is_told_by_metadata_or_session(metadata: Any, tenant: str) -> None:
    """`metadata.tenant` names the tenant; without one the session does."""
    whole = message_event("x", chat_id=CHAT)
    whole["metadata"] = metadata
    found = parse_event(encode(whole))
    assert found
    assert found.tenant == tenant


@pytest.mark.parametrize("quoted", ["AAA", f"false_{CHAT}_AAA"])
def test_quoted_message_is_told_by_its_bare_id(quoted: str) -> None:
    """Engines give the quoted message's id in either form."""
    assert message(payload={"replyTo": {"id": quoted}}).quoted_id == "AAA"


def test_half_an_emoji_does_not_lose_a_message() -> None:
    """A lone surrogate, which JSON can escape and UTF-8 cannot hold, becomes a question mark."""
    body = json.dumps(message_event("half \ud83d", chat_id=CHAT)).encode()
    found = parse_event(body)
    assert found
    assert found.text == "half ?"


def test_both_events_of_a_message_are_one() -> None:
    """`message` and `message.any`, and the two forms of a chat's id, have one identity."""
    identities = {
        message().identity,
        message(event="message.any").identity,
        message(payload={"id": "false_77@lid_AAA", "from": "77@lid"}).identity,
        message(payload={"id": "false_9@g.us_AAA_15551234567@c.us"}).identity,
    }
    assert len(identities) == 1


def test_other_messages_are_others() -> None:
    """Session and bare id tell messages apart, and no session name can imitate another pair."""
    identities = {
        message().identity,
        message(session="other").identity,
        message(payload={"id": f"false_{CHAT}_AAB"}).identity,
        message(session='default", false, "AAA').identity,
    }
    assert len(identities) == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event": "session.status"}, Unwanted.NOT_A_MESSAGE),
        ({"event": "message.ack"}, Unwanted.NOT_A_MESSAGE),
        ({"event": "message.reaction"}, Unwanted.NOT_A_MESSAGE),
        ({"payload": {"fromMe": True}}, Unwanted.FROM_ME),
        ({"payload": {"id": f"true_{CHAT}_AAA"}}, Unwanted.FROM_ME),
        ({"payload": {"from": "status@broadcast"}}, Unwanted.STATUS),
        ({"payload": {"from": "123@newsletter"}}, Unwanted.NEWSLETTER),
    ],
)
def test_unwanted_events_are_told(changes: dict[str, Any], reason: Unwanted) -> None:
    """Events that must not be answered are well-formed and say why."""
    found = parsed(**changes)
    assert (found.unwanted if found else Unwanted.NOT_A_MESSAGE) is reason


NOTHING_WRITTEN: dict[str, dict[str, Any]] = {
    "missed call": {"body": None, "_data": {"message": {"call": {"callKey": "AAAA"}}}},
    "timer set": {"body": None, "_data": {"message": {"protocolMessage": {"type": "EPHEMERAL_SETTING"}}}},
    "encryption notice": {"body": "", "_data": {"type": "e2e_notification"}},
    "still encrypted": {"body": "", "_data": {"type": "ciphertext"}},
    "blanks": {"body": " \n"},
    "a type of no text": {"body": "", "_data": {"type": ["order"]}},
    "engine's own of another shape": {"body": "", "_data": "order"},
    "engine's own is null": {"body": "", "_data": None},
    "empty lists": {"body": "", "hasMedia": False, "vCards": [], "location": None},
}


@pytest.mark.parametrize("payload", NOTHING_WRITTEN.values(), ids=NOTHING_WRITTEN)
def test_nobody_is_answered_who_wrote_nothing(payload: dict[str, Any]) -> None:
    """A message event with neither text nor anything else that somebody sent is none to answer."""
    assert message(payload=payload).unwanted is Unwanted.EMPTY


@pytest.mark.parametrize(
    "payload",
    [
        {"hasMedia": True},
        {"location": {"latitude": "52.5", "longitude": "13.4"}},
        {"vCards": ["BEGIN:VCARD"]},
        {"hasMedia": False, "_data": {"id": {"id": "A"}, "type": "order", "orderId": "1", "itemCount": 2}},
        {"hasMedia": False, "_data": {"id": {"id": "A"}, "type": "product", "productId": "1"}},
    ],
)
def test_what_is_sent_without_a_text_is_answered(payload: dict[str, Any]) -> None:
    """A picture, a place, a contact, an order, a product: somebody waits for an answer."""
    assert message(payload={"body": "", **payload}).unwanted is None


OWN_LID = "900000000000001@lid"


@pytest.mark.parametrize(
    ("participant", "payload_id"),
    [
        (OWN_LID, f"false_9@g.us_AAA_{OWN_LID}"),
        (OWN_LID, "false_9@g.us_AAA"),
        (None, f"false_9@g.us_AAA_{OWN_LID}"),
        ("900000000000001:7@lid", "false_9@g.us_AAA"),
        ("15550000000@s.whatsapp.net", "false_9@g.us_AAA"),
        (None, f"false_{OWN_LID}_AAA"),
    ],
)
def test_our_own_lines_are_known_by_their_sender(participant: str | None, payload_id: str) -> None:
    """Some engines tell of our own line in a group as another's: to answer it would never end."""
    whole = message_event("we said", chat_id=CHAT)
    whole["me"] = {"id": "15550000000@c.us", "lid": OWN_LID, "pushName": "Assistant"}
    whole["payload"] |= {"id": payload_id, "from": payload_id.split("_")[1], "participant": participant}
    found = parse_event(encode(whole))
    assert found
    assert found.unwanted is Unwanted.FROM_ME


@pytest.mark.parametrize("me", [None, {"id": "15550000000@c.us", "pushName": "Assistant"}])
@pytest.mark.parametrize(("source", "unwanted"), [("api", Unwanted.FROM_ME), ("app", None), (["api"], None)])
def test_what_came_through_wahas_api_is_ours(me: object, source: object, unwanted: Unwanted | None) -> None:
    """Also where nobody can tell that the hidden id is our account's."""
    whole = message_event("we said", chat_id=CHAT)
    payload_id = f"false_9@g.us_AAA_{OWN_LID}"
    whole["me"] = me
    whole["payload"] |= {"id": payload_id, "from": "9@g.us", "participant": OWN_LID, "source": source}
    found = parse_event(encode(whole))
    assert found
    assert found.unwanted is unwanted


def test_others_in_a_group_are_answered() -> None:
    """Also one whose hidden id has our number's digits."""
    payload = {"id": "false_9@g.us_AAA", "from": "9@g.us", "participant": "15550000000@lid"}
    assert message(payload=payload).unwanted is None


def test_events_of_other_kinds_may_have_any_shape() -> None:
    """Of an event that is ignored anyway nothing but its name is looked at."""
    assert parse_event(b'{"event": "engine.event"}') is None


def test_media_may_have_no_text() -> None:
    """A message whose body is null is a message with no text."""
    assert message(payload={"body": None, "hasMedia": True}).text == ""


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello",
    "two values": b"{} {}",
    "cut off": event()[:-1],
    "UTF-8 cut": '{"event": "é'.encode()[:-1],
    "not UTF-8": b'{"event": "\xff"}',
    "UTF-16": event().decode().encode("utf-16"),
    "UTF-32": event().decode().encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf" + event(),
    "NaN": b'{"event": "message", "x": NaN}',
    "Infinity": b'{"event": "message", "x": -Infinity}',
    "huge integer": b'{"event": "message", "x": ' + b"9" * 10_000 + b"}",
    "deep array": b'{"event": "message", "x": ' + b"[" * 100_000,
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "null": b"null",
    "array": b"[]",
    "text": b'"message"',
    "number": b"1",
    "no event": b"{}",
    "event null": b'{"event": null}',
    "event a list": b'{"event": ["message"]}',
    "no payload": b'{"event": "message", "session": "s"}',
    "payload null": b'{"event": "message", "session": "s", "payload": null}',
    "payload a list": b'{"event": "message", "session": "s", "payload": []}',
    "payload empty": b'{"event": "message", "session": "s", "payload": {}}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    """Whatever is wrong with the bytes, the JSON or its shape is one error, ours."""
    with pytest.raises(Malformed):
        parse_event(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"hello", "not JSON in UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `event`"),
        (b'{"event": 7}', "Expected `str`, got `int` - at `$.event`"),
        (event(payload={"body": ["a secret"]}), "Expected `str | null`, got `array` - at `$.payload.body`"),
        (event(payload={"id": "a secret"}), "payload.id should have the form"),
        (event(session="a\nsecret"), "session should have the form"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, said: str) -> None:
    """The reason tells what should stand where, and repeats nothing of what stands there."""
    with pytest.raises(Malformed) as caught:
        parse_event(body)
    assert said in caught.value.message
    assert "secret" not in caught.value.message


def test_other_events_may_have_a_payload_of_any_shape() -> None:
    """What would be wrong in a message is not looked at in another event."""
    assert parse_event(event(event="presence.update", session=7, payload={"id": 5, "body": []})) is None


@pytest.mark.parametrize("kind", ["message", "message.ack", "session.status", "call.received"])
def test_session_is_read_of_any_event(kind: str) -> None:
    """Whatever its payload is, half an emoji in a name included."""
    whole = {"event": kind, "payload": [], "me": {"pushName": "\ud83d"}, "session": "shop é"}
    assert session_of(json.dumps(whole).encode()) == "shop é"


@pytest.mark.parametrize("session", [None, 7, True, [], {}, "", "a\nb", "x" * 129])
def test_session_of_another_form_is_none(session: Any) -> None:
    """What cannot be a session's name is not taken for one."""
    assert session_of(json.dumps({"event": "message.ack", "session": session}).encode()) is None


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_session_of_what_is_no_event_raises_nothing(body: bytes) -> None:
    """Whatever is wrong with it."""
    session_of(body)


@pytest.mark.parametrize("field", ["environment", "event"])
def test_bytes_that_are_not_utf8_are_malformed_anywhere(field: str) -> None:
    """Also in a part that nobody looks at."""
    whole = message_event("x", chat_id=CHAT)
    whole[field] = "X"
    with pytest.raises(Malformed):
        parse_event(encode(whole).replace(b'"X"', b'"\xff"'))


WRONG: list[Any] = [None, 1, 1.5, True, [], {}, "", "\x00", "é", "x" * 5000, "a b"]


EACH_WRONG = pytest.mark.parametrize("value", WRONG, ids=[f"{number}" for number in range(len(WRONG))])


@EACH_WRONG
def test_message_ids_of_wrong_shape_are_malformed(value: Any) -> None:
    """The message's id has WAHA's form or the event is refused: without it there is nothing to answer."""
    with pytest.raises(Malformed):
        parse_event(json.dumps(message_event("x", chat_id=CHAT, payload={"id": value})).encode())


@EACH_WRONG
@pytest.mark.parametrize("fields", [("from",), ("from", "to", "timestamp"), ("participant",), ("fromMe",)])
def test_fields_that_the_id_makes_up_for_may_be_anything(fields: tuple[str, ...], value: Any) -> None:
    """Engines give null for what they do not know; the message's id names the chat and the direction."""
    if fields == ("fromMe",) and value is True:
        return  # that is how our own are told
    found = message(payload=dict.fromkeys(fields, value))
    assert (found.chat_id, found.from_me, found.text) == (CHAT, False, "hello")


@EACH_WRONG
@pytest.mark.parametrize("field", ["me", "metadata", "engine"])
def test_fields_of_the_envelope_may_be_anything(field: str, value: Any) -> None:
    """Nothing beside session and payload refuses a message."""
    whole = message_event("hello", chat_id=CHAT)
    whole[field] = value
    found = parse_event(json.dumps(whole).encode())
    assert found
    assert (found.text, found.unwanted) == ("hello", None)


@pytest.mark.parametrize(
    "payload_id", ["x", "false_x", "maybe_1@c.us_A", "false__A", "false_1@c.us_", "false_é@c.us_A"]
)
def test_ids_of_another_form_are_malformed(payload_id: str) -> None:
    """An id from which no identity follows is refused rather than guessed."""
    with pytest.raises(Malformed):
        parsed(payload={"id": payload_id})


@pytest.mark.parametrize("value", [5, ["x"], {}, True])
def test_texts_of_wrong_shape_are_malformed(value: Any) -> None:
    """A text is not taken from something that is none."""
    with pytest.raises(Malformed):
        parse_event(json.dumps(message_event("x", chat_id=CHAT, payload={"body": value})).encode())


@pytest.mark.parametrize("session", [None, 7, "", "a\nb", "x" * 500])
def test_session_of_wrong_shape_is_malformed(session: Any) -> None:
    """The session is a short text."""
    whole = message_event("x", chat_id=CHAT)
    whole["session"] = session
    with pytest.raises(Malformed):
        parse_event(json.dumps(whole).encode())


def test_missing_sender_and_flag_follow_from_the_id() -> None:
    """Older versions leave them out; the id says both."""
    whole = message_event("x", chat_id=CHAT, message_id="AAA")
    del whole["payload"]["from"], whole["payload"]["fromMe"]
    found = parse_event(encode(whole))
    assert isinstance(found, Message)
    assert (found.chat_id, found.from_me) == (CHAT, False)
