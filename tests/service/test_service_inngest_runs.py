"""A run answers its message once, whatever else is called meanwhile, and asks again where it could not."""

from __future__ import annotations

import asyncio

import pytest
from inngest_kit import LEASE_S, RETRY, enqueue, hands_of, inbox_of, read_all, runs_of
from service_kit import NO_REDIS
from store_kit import pass_by

from service.by_inngest.runs import SOON_MS, Later, NoMessage
from service.lanes import LIVE
from service.messages.inbox import Entry, TakeState
from service.storage.redis_store import RedisStore
from service.storage.store import Store

pytestmark = pytest.mark.integration


async def given(store: Store, *chats: str) -> list[str]:
    """Messages that a worker gave to Inngest, also those whose turn it is not yet."""
    await enqueue(store, *chats)
    entries = await read_all(inbox_of(store, "w"))
    for entry in entries:
        await hands_of(store, "w").give(entry.id)
    return [entry.id for entry in entries]


async def test_message_is_answered_and_finished(store: Store) -> None:
    """A run ends when its message has; called once more, there is nothing to do."""
    (entry_id,) = await given(store, "1")
    runs, answering = runs_of(store, "web")
    await runs.run(entry_id)
    await runs.run(entry_id)
    assert answering.answered == [(entry_id, TakeState.GO, 1)]
    assert await store.call("XLEN", LIVE.stream) == 0


async def test_calls_at_the_same_time_answer_once(store: Store) -> None:
    """Of two calls at once, also of one process, one answers; the other is told to come again."""
    (entry_id,) = await given(store, "1")
    runs, answering = runs_of(store, "web")
    other, other_answering = runs_of(store, "web-2")
    ends = await asyncio.gather(*(r.run(entry_id) for r in (runs, runs, other)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Later", "Later", "NoneType"]
    assert len(answering.answered + other_answering.answered) == 1


async def test_what_was_not_sent_is_asked_for_again(store: Store) -> None:
    """A message that stays pending goes back to Inngest with its pause, and whoever is called can run it."""

    async def not_sent(_entry: Entry, _state: TakeState, _attempt: int) -> None:
        """Leave it as it is."""

    (entry_id,) = await given(store, "1")
    failing, _ = runs_of(store, "web", not_sent)
    for _ in range(8):
        with pytest.raises(Later) as later:
            await failing.run(entry_id)
    assert later.value.pause_ms == RETRY.pause_ms(8, entry_id) > SOON_MS
    runs, answering = runs_of(store, "web-2")
    await runs.run(entry_id)
    assert answering.answered == [(entry_id, TakeState.GO, 9)]


async def test_message_waits_for_its_chats_earlier_one(store: Store) -> None:
    """A chat's later message is not answered before its earlier one, in whichever order they are called."""
    first, second = await given(store, "1", "1")
    runs, answering = runs_of(store, "web")
    with pytest.raises(Later) as later:
        await runs.run(second)
    await runs.run(first)
    await runs.run(second)
    assert later.value.pause_ms == SOON_MS
    assert [(entry_id, state) for entry_id, state, _ in answering.answered] == [
        (second, TakeState.WAIT),
        (first, TakeState.GO),
        (second, TakeState.GO),
    ]


async def test_long_run_keeps_its_message(store: Store) -> None:
    """A run that takes longer than a lease is seen all the time: nobody takes its message."""
    lease_s = 2.0  # three renewals; a busy machine may be a second late with each

    async def slow(entry: Entry, _state: TakeState, _attempt: int) -> None:
        await asyncio.sleep(lease_s * 1.5)
        assert await inbox_of(store, "w", lease_s=lease_s).due(LIVE, ()) == []
        await runs.inbox.finish(entry)

    (entry_id,) = await given(store, "1")
    runs, _ = runs_of(store, "web", slow, lease_s=lease_s)
    await runs.run(entry_id)
    assert await store.call("XLEN", LIVE.stream) == 0


async def test_cancelled_run_leaves_its_message_pending(store: Store) -> None:
    """A process that ends in the middle of a run leaves the message to whoever comes after its lease."""
    begun = asyncio.Event()

    async def endless(_entry: Entry, _state: TakeState, _attempt: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    (entry_id,) = await given(store, "1")
    runs, _ = runs_of(store, "web", endless)
    call = asyncio.create_task(runs.run(entry_id))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await pass_by(store, LEASE_S)
    assert [entry.id for entry in await inbox_of(store, "w2").due(LIVE, ())] == [entry_id]


@pytest.mark.parametrize("entry_id", [None, 7, "", "x", "1-0 ", "-", "1-0\n", {"a": 1}])
async def test_event_that_names_no_message_is_refused(store: Store, entry_id: object) -> None:
    """What could come with a stolen event key is not handed to Redis, and not asked for again."""
    runs, answering = runs_of(store, "web")
    with pytest.raises(NoMessage):
        await runs.run(entry_id)
    assert answering.answered == []


async def test_redis_being_away_is_asked_for_again() -> None:
    """While Redis is away Inngest is told to call again."""
    away = RedisStore(NO_REDIS, timeout_s=0.2)
    runs, _ = runs_of(away, "web")
    with pytest.raises(Later, match="Redis is away"):
        await runs.run("1-0")
    await away.aclose()
