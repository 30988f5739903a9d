"""Proofs of what was sent: only our own text, in answer to the same message or in the same chat, is one."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis
from service_kit import CHAT, PART_OF_NUMBER, SECRET, event

from service.event import Message, parse_event
from service.lanes import LIVE, gate_lane
from service.messages.receipts import EXPECTED_S, Receipts
from service.messages.replies import Reply
from service.storage.store import Store

pytestmark = pytest.mark.integration

TEXT = "Hello!\nWe are open  from 9 to 5."


def message(bare_id: str = "A", chat_id: str = CHAT, session: str = "default") -> Message:
    """A message that somebody sent us."""
    found = parse_event(event("hi", chat_id=chat_id, message_id=bare_id, session=session))
    assert isinstance(found, Message)
    return found


def reply_to(asked: Message, text: str = TEXT) -> Reply:
    """What is sent in answer."""
    return Reply(asked.session, asked.chat_id, text, asked.payload_id)


def echo(text: str = TEXT, *, quotes: str | None = "A", chat_id: str = CHAT, **more: Any) -> Message:
    """What WAHA tells of a message that we sent: `from` is ourselves, the chat is in the id."""
    payload = {
        "id": f"true_{chat_id}_OURS",
        "from": "15550000000@c.us",
        "to": chat_id,
        "fromMe": True,
        "replyTo": {"id": quotes} if quotes else None,
    }
    found = parse_event(event(text, chat_id=chat_id, event="message.any", payload=payload, **more))
    assert isinstance(found, Message)
    assert found.from_me
    return found


@pytest.fixture
def receipts(either_store: Store) -> Receipts:
    """The live lane's, by either way to Redis."""
    return Receipts(either_store, LIVE, SECRET)


@pytest.mark.parametrize(
    "told",
    [
        echo(),
        echo(quotes=f"false_{CHAT}_A"),
        echo("Hello!\r\nWe are open from 9 to 5. "),
        echo(quotes=None),
        echo(quotes="something else"),
        echo(chat_id="99@lid"),
    ],
    ids=["quotes", "whole id", "tidied", "quotes nothing", "strange id", "other form of the chat"],
)
async def test_echo_is_a_proof(receipts: Receipts, told: Message) -> None:
    """WAHA's echo of an expected reply proves it, however the engine writes it, and says what was said."""
    await receipts.expect(message(), reply_to(message()))
    assert await receipts.proof(message()) is None
    assert await receipts.note(told)
    assert await receipts.proof(message()) == told.text


@pytest.mark.parametrize(
    "told",
    [
        echo("Call me."),
        echo(quotes="B", chat_id="2@c.us"),
        echo(session="another"),
        echo(quotes=None, chat_id="2@c.us"),
    ],
    ids=["a person's own text", "another message", "another session", "another chat"],
)
async def test_other_messages_of_ours_prove_nothing(receipts: Receipts, told: Message) -> None:
    """Somebody who answers by hand, or another answer, leaves it unknown."""
    await receipts.expect(message(), reply_to(message()))
    assert not await receipts.note(told)
    assert await receipts.proof(message()) is None


async def test_echo_of_what_nobody_expects_leaves_nothing(receipts: Receipts, redis: Redis) -> None:
    """Every message that a person sends by hand comes by: none costs memory."""
    assert not await receipts.note(echo())
    assert await redis.dbsize() == 0


async def test_the_same_text_in_a_chat_proves_the_latest(receipts: Receipts) -> None:
    """Where nothing is quoted, an echo is that of the reply sent last."""
    first, second = message("A"), message("B")
    for asked in (first, second):
        await receipts.expect(asked, reply_to(asked))
    assert await receipts.note(echo(quotes=None))
    assert (await receipts.proof(first), await receipts.proof(second)) == (None, TEXT)


async def test_new_attempt_needs_a_new_proof(receipts: Receipts) -> None:
    """What was proven of an earlier sending says nothing of the next."""
    await receipts.expect(message(), reply_to(message()))
    await receipts.note(echo())
    await receipts.expect(message(), reply_to(message(), "another text"))
    assert await receipts.proof(message()) is None


async def test_what_is_expected_lapses(receipts: Receipts, redis: Redis) -> None:
    """Neither key outlives the time in which WAHA may tell of a message."""
    await receipts.expect(message(), reply_to(message()))
    lives = [await redis.ttl(key) for key in receipts.keys(message(), reply_to(message()))]
    assert all(EXPECTED_S - 10 < life <= EXPECTED_S for life in lives)
    assert await redis.dbsize() == 2


async def test_keys_tell_nothing(receipts: Receipts, redis: Redis) -> None:
    """Neither a chat nor a text can be read, or guessed without the secret, from a key."""
    await receipts.expect(message(), reply_to(message()))
    keys = b" ".join([key async for key in redis.scan_iter()]).decode()
    assert not any(part in keys for part in (CHAT, PART_OF_NUMBER, "Hello", "open"))
    other = Receipts(receipts._store, LIVE, "another secret")
    assert set(other.keys(message(), reply_to(message()))).isdisjoint(keys.split())


async def test_lanes_have_their_own(receipts: Receipts, store: Store) -> None:
    """What a gate expects is no live message's, and lives no longer than its lane."""
    gate = Receipts(store, gate_lane("r"), SECRET)
    await gate.expect(message(), reply_to(message()))
    assert not await receipts.note(echo())
    assert await store.call("TTL", gate.keys(message(), reply_to(message()))[0]) <= 3600


async def test_proof_is_kept_when_memory_is_full(receipts: Receipts, redis: Redis) -> None:
    """A full Redis must not make outcomes unknown."""
    await redis.config_set("maxmemory", 1)
    try:
        await receipts.expect(message(), reply_to(message()))
        assert await receipts.note(echo())
    finally:
        await redis.config_set("maxmemory", 0)
