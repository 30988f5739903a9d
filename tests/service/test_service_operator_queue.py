"""Replaying and dropping: which records, in which order, in which portions, and what it costs nobody."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import pytest
from operator_kit import NUMBER, SECRET_TEXT, FakeDatabase, entries, give_up, open_redis

from service.accounts.database import DatabaseFailed, MessageOutcome, Reservation
from service.accounts.redis_database import RedisDatabase
from service.event import Message, parse_event
from service.lanes import LIVE
from service.messages.kept_messages import Kept, KeptMessages
from service.operating.given_up import PAGE, Chosen, Worked, drop, list_kept, replay
from service.operating.refusal import OperatorRefused
from service.storage.store import Store

pytestmark = pytest.mark.integration

EVERYTHING = Chosen()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    async with open_redis(redis_url) as store:
        yield store


@pytest.fixture
def dead(store: Store) -> KeptMessages:
    """The dead letters."""
    return KeptMessages(store, Kept.DEAD)


async def put_back(
    dead: KeptMessages, chosen: Chosen = EVERYTHING, *, longest: int = 10**6, budget_s: float = 10
) -> Worked:
    """Replay dead letters."""
    return await replay(dead, Kept.DEAD, chosen, longest=longest, may_send_twice=False, budget_s=budget_s)


async def test_the_list_is_bounded_and_says_how_many_there_are(store: Store, dead: KeptMessages) -> None:
    """The newest first, without texts and numbers."""
    ids = await give_up(store, LIVE.dead, *map(str, range(5)))
    found = await list_kept(dead, 2)
    assert found["total"] == 5
    assert [message["id"] for message in found["messages"]] == [ids[4], ids[3]]
    assert SECRET_TEXT not in json.dumps(found)
    assert NUMBER not in json.dumps(found)


async def test_all_are_replayed_oldest_first(store: Store, dead: KeptMessages) -> None:
    """Over several pages; the order within a chat is the one in which they came."""
    await give_up(store, LIVE.dead, *(f"{number % 3}" for number in range(PAGE * 2 + 5)))
    before = [record["requestId"] for record in await entries(store, LIVE.dead)]
    assert await put_back(dead) == Worked(PAGE * 2 + 5, is_full=False, rest=None, left=0)
    assert [entry["requestId"] for entry in await entries(store)] == before


async def test_those_named_are_replayed_and_no_others(store: Store, dead: KeptMessages) -> None:
    """Oldest first, however they were typed; one that was typed twice is one."""
    ids = await give_up(store, LIVE.dead, "a", "b", "c")
    done = await put_back(dead, Chosen(ids=(ids[2], ids[0], ids[2])))
    assert done == Worked(2, is_full=False, rest=None, left=1)
    assert [entry["chat"] for entry in await entries(store)] == ["a", "c"]


async def test_one_that_is_not_there_stops_all(store: Store, dead: KeptMessages) -> None:
    """A slip is told before anything is done."""
    (there,) = await give_up(store, LIVE.dead, "a")
    with pytest.raises(OperatorRefused, match=r"1 of 2 are not there \(any more\): 5-5; nothing was done"):
        await put_back(dead, Chosen(ids=("5-5", there)))
    assert (await dead.count(), await entries(store)) == (1, [])


async def test_much_is_done_in_portions(store: Store, dead: KeptMessages) -> None:
    """An answer comes after some seconds, with where to go on; nothing is left out, nothing done twice."""
    ids = await give_up(store, LIVE.dead, *map(str, range(PAGE * 2 + 1)))
    first = await put_back(dead, budget_s=0)
    assert first == Worked(PAGE, False, Chosen(after=ids[PAGE - 1], through=ids[-1]), PAGE + 1)
    assert first.rest
    second = await put_back(dead, first.rest, budget_s=0)
    assert second.rest
    third = await put_back(dead, second.rest, budget_s=60)
    assert (second.count, third.count, third.rest, third.left) == (PAGE, 1, None, 0)
    assert len({entry["requestId"] for entry in await entries(store)}) == PAGE * 2 + 1


async def test_what_dies_meanwhile_is_not_taken_up(store: Store, dead: KeptMessages) -> None:
    """Or a message that cannot be answered would go round for ever."""
    await give_up(store, LIVE.dead, *map(str, range(PAGE + 1)))
    first = await put_back(dead, budget_s=0)
    await give_up(store, LIVE.dead, "died-again")
    assert first.rest
    rest = await put_back(dead, first.rest)
    assert (rest.count, rest.rest, rest.left) == (1, None, 1)


async def test_it_stops_where_the_queue_is_full(store: Store, dead: KeptMessages) -> None:
    """And says so; what is left can be replayed later."""
    await give_up(store, LIVE.dead, "a", "b", "c")
    assert await put_back(dead, longest=2) == Worked(2, is_full=True, rest=None, left=1)
    (left,) = await dead.newest(10)
    assert await put_back(dead, Chosen(ids=(left.id,)), longest=2) == Worked(0, True, None, 1)


async def test_nothing_to_replay_is_no_failure(dead: KeptMessages) -> None:
    """The end is the same."""
    assert await put_back(dead) == Worked(0, is_full=False, rest=None, left=0)


async def test_an_unknown_outcome_is_not_replayed_unasked(store: Store) -> None:
    """Its reply may be sent twice: the operator has to say that they know."""
    await give_up(store, LIVE.unknown, "a")
    unknown = KeptMessages(store, Kept.UNKNOWN)
    with pytest.raises(OperatorRefused, match="may send them a second time") as refusal:
        await replay(unknown, Kept.UNKNOWN, EVERYTHING, longest=10, may_send_twice=False)
    assert "--may-send-twice" in refusal.value.hint
    assert (await unknown.count(), await entries(store)) == (1, [])
    await replay(unknown, Kept.UNKNOWN, EVERYTHING, longest=10, may_send_twice=True)
    assert (await unknown.count(), len(await entries(store))) == (0, 1)


async def test_what_is_dropped_is_gone_and_settled(store: Store, dead: KeptMessages) -> None:
    """As failed, with its own times; the queue gets nothing."""
    ids = await give_up(store, LIVE.dead, "a", "b", "c", received=5)
    database = FakeDatabase()
    done = await drop(dead, database, Chosen(ids=(ids[1],)))
    assert done == Worked(1, is_full=False, rest=None, left=2)
    (record,) = database.settled
    assert (record.outcome, record.reply, record.session) == (MessageOutcome.FAILED, "", "default")
    assert record.received_ms == 5
    assert await entries(store) == []
    assert (await drop(dead, database, EVERYTHING)).left == 0
    assert len(database.settled) == 3


async def test_a_dropped_unknown_outcome_gives_its_credit_back(store: Store) -> None:
    """On the real database: what was held for it can be used again."""
    (_,) = await give_up(store, LIVE.unknown, "a")
    (record,) = await entries(store, LIVE.unknown)
    message = parse_event(record["event"].encode())
    assert isinstance(message, Message)
    database = RedisDatabase(store, LIVE.prefix, 1)
    assert await database.reserve(message.tenant, message.identity) is Reservation.RESERVED
    assert await database.reserve(message.tenant, "another") is Reservation.NO_CREDIT
    await drop(KeptMessages(store, Kept.UNKNOWN), database, EVERYTHING)
    assert await database.reserve(message.tenant, "another") is Reservation.RESERVED


async def test_what_could_not_be_released_is_kept(store: Store, dead: KeptMessages) -> None:
    """While the database is away nothing of the page is deleted; the same command does it later."""
    await give_up(store, LIVE.dead, "a", "b")
    database = FakeDatabase(fails_at=1)
    with pytest.raises(DatabaseFailed):
        await drop(dead, database, EVERYTHING)
    assert await dead.count() == 2
    database.fails_at = None
    assert (await drop(dead, database, EVERYTHING)).count == 2


async def test_a_record_without_a_message_is_dropped_too(store: Store, dead: KeptMessages) -> None:
    """There is nothing to release."""
    await store.call("XADD", LIVE.dead, "*", "event", "no JSON")
    database = FakeDatabase()
    assert (await drop(dead, database, EVERYTHING)).left == 0
    assert database.settled == []


async def bytes_read(store: Store) -> int:
    """What Redis has given to all its clients."""
    (told,) = re.findall(rb"total_net_output_bytes:(\d+)", await store.call("INFO", "stats"))
    return int(told)


async def test_a_hundred_thousand_are_listed_and_replayed(store: Store, dead: KeptMessages) -> None:
    """A listing reads a page of them, not all; replaying all stays in small steps."""
    script = b"""
    for number = 1, 10000 do
      redis.call('XADD', KEYS[1], '*', 'event', '{}', 'chat', number % 100, 'reason', 'x')
    end"""
    for _ in range(10):
        await store.call("EVAL", script, 1, LIVE.dead)
    before = await bytes_read(store)
    assert (await list_kept(dead, 20))["total"] == 100_000
    assert await bytes_read(store) - before < 100_000
    chosen: Chosen | None = EVERYTHING
    count = 0
    while chosen:
        done = await put_back(dead, chosen, budget_s=1)
        count, chosen = count + done.count, done.rest
    assert (count, await dead.count(), await store.call("XLEN", LIVE.stream)) == (100_000, 0, 100_000)
