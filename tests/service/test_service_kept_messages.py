"""Records of what was given up: what is shown of them, and the one step that puts them back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from operator_kit import NUMBER, SECRET_TEXT, entries, give_up, open_redis

from service.lanes import LIVE
from service.messages.inbox import Inbox, RetryPolicy, TakeState
from service.messages.kept_messages import Kept, KeptMessage, KeptMessages
from service.storage.store import Store

pytestmark = pytest.mark.integration

ROOM = 1000


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    async with open_redis(redis_url) as store:
        yield store


@pytest.fixture
def dead(store: Store) -> KeptMessages:
    """The dead letters."""
    return KeptMessages(store, Kept.DEAD)


async def test_neither_text_nor_number_is_shown(store: Store, dead: KeptMessages) -> None:
    """What is shown suffices to find the message in the logs."""
    (record_id,) = await give_up(store, LIVE.dead, "a1b2")
    (kept,) = await dead.newest(10)
    ended = kept.number("ended")
    assert ended is not None
    told = kept.described(ended)
    assert told == {
        "id": record_id,
        "requestId": "request-of-a1b2",
        "chat": "a1b2",
        "session": "default",
        "reason": "WAHA refused: HTTP 500",
        "attempts": 10,
        "received": ended - 60_000,
        "age_ms": 60_000,
        "ended": ended,
        "replayed": False,
    }
    assert SECRET_TEXT not in json.dumps(told) + repr(kept)
    assert NUMBER not in json.dumps(told) + repr(kept)


@pytest.mark.parametrize("event", [b"", b"no JSON", b'{"event":"message"}', b'{"event":"session.status"}'])
def test_a_record_that_lacks_something_is_shown_without_it(event: bytes) -> None:
    """It was put there by hand or by another version."""
    told = KeptMessage("1-1", {b"event": event, b"attempts": b"many"}).described(0)
    assert told["id"] == "1-1"
    assert [told[name] for name in ("session", "attempts", "received", "age_ms", "ended")] == [None] * 5


async def test_a_replayed_message_is_a_fresh_entry(store: Store, dead: KeptMessages) -> None:
    """As it was, without what is said of its end; marked as replayed; its record is gone."""
    await give_up(store, LIVE.dead, "a")
    (record,) = await entries(store, LIVE.dead)
    replayed = await dead.replay(await dead.newest(1), ROOM)
    assert (replayed.count, replayed.is_full) == (1, False)
    (entry,) = await entries(store)
    of_the_record = {"_id", "entry", "reason", "attempts", "ended"}
    assert entry == {
        "_id": entry["_id"],
        "replayed": "1",
        **{name: value for name, value in record.items() if name not in of_the_record},
    }
    assert entry["_id"] != record["entry"]
    assert await dead.count() == 0


async def test_it_takes_its_turn_after_the_chat_s_other_messages(store: Store, dead: KeptMessages) -> None:
    """At the end of the chat's list, and its attempts begin anew."""
    await store.call("RPUSH", LIVE.turn("a"), await store.call("XADD", LIVE.stream, "*", "chat", "a"))
    await give_up(store, LIVE.dead, "a")
    await dead.replay(await dead.newest(1), ROOM)
    first, second = await entries(store)
    assert await store.call("LRANGE", LIVE.turn("a"), 0, -1) == [
        first["_id"].encode(),
        second["_id"].encode(),
    ]
    inbox = Inbox(store, "w", lease_s=30, retry=RetryPolicy(1, 1))
    await inbox.open(LIVE)
    earlier, replayed = await inbox.read([LIVE], count=10, block_ms=1)
    assert await inbox.take(replayed) == (TakeState.WAIT, 0)
    await inbox.finish(earlier)
    assert (await inbox.take(replayed))[0] is TakeState.GO


async def test_it_stays_known(store: Store, dead: KeptMessages) -> None:
    """A webhook that comes again is a duplicate still."""
    await store.call("HSET", f"{LIVE.known}:1:000", "x", "t")
    await give_up(store, LIVE.dead, "a")
    await dead.replay(await dead.newest(1), ROOM)
    assert await store.call("HGET", f"{LIVE.known}:1:000", "x") == b"t"


async def test_twice_replayed_it_is_there_once(store: Store, dead: KeptMessages) -> None:
    """Two operators, or an answer that was lost: a record is put back by one call only."""
    await give_up(store, LIVE.dead, "a", "b")
    page = await dead.newest(10)
    assert (await dead.replay(page, ROOM)).count == 2
    assert (await dead.replay(page, ROOM)).count == 0
    assert len(await entries(store)) == 2


async def test_what_died_again_can_be_replayed_again(store: Store, dead: KeptMessages) -> None:
    """The mark is not doubled."""
    await give_up(store, LIVE.dead, "a", replayed=1)
    await dead.replay(await dead.newest(1), ROOM)
    (_, parts), *_rest = await store.call("XRANGE", LIVE.stream, "-", "+")
    assert parts[::2].count(b"replayed") == 1


async def test_a_queue_that_is_long_enough_takes_no_more(store: Store, dead: KeptMessages) -> None:
    """New webhooks must not be refused for old messages; what found no room is kept."""
    await store.call("XADD", LIVE.stream, "*", "chat", "z")
    ids = await give_up(store, LIVE.dead, "a", "b", "c")
    replayed = await dead.replay(await dead.page(None, ids[-1], 10), longest=3)
    assert (replayed.count, replayed.is_full) == (2, True)
    assert [entry["_id"] for entry in await entries(store, LIVE.dead)] == ids[2:]
    assert len(await entries(store)) == 3


async def test_unknown_outcomes_are_records_of_their_own(store: Store) -> None:
    """Each kind has its stream."""
    await give_up(store, LIVE.dead, "a")
    ids = await give_up(store, LIVE.unknown, "b")
    unknown = KeptMessages(store, Kept.UNKNOWN)
    assert [kept.id for kept in await unknown.newest(10)] == ids
    await unknown.replay(await unknown.newest(10), ROOM)
    assert (await unknown.count(), await KeptMessages(store, Kept.DEAD).count()) == (0, 1)


async def test_pages_go_from_the_oldest_to_the_last_that_was_asked_for(
    store: Store, dead: KeptMessages
) -> None:
    """Ids above the one, up to the other."""
    ids = await give_up(store, LIVE.dead, "a", "b", "c", "d")
    assert [kept.id for kept in await dead.page(None, ids[2], 2)] == ids[:2]
    assert [kept.id for kept in await dead.page(ids[1], ids[2], 2)] == ids[2:3]
    assert await dead.page(ids[2], ids[2], 2) == []
    assert await dead.last_id() == ids[3]
    assert [kept.id for kept in await dead.newest(2)] == [ids[3], ids[2]]


async def test_a_message_put_back_lacks_nothing_even_without_a_chat(store: Store, dead: KeptMessages) -> None:
    """One that was put there by hand takes the turn that a worker will look for."""
    await store.call("XADD", LIVE.dead, "*", "event", "{}")
    await dead.replay(await dead.newest(1), ROOM)
    (entry,) = await entries(store)
    assert await store.call("LRANGE", LIVE.turn(""), 0, -1) == [entry["_id"].encode()]
