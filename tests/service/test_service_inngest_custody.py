"""Between a worker, Inngest and a run: one holder at a time, whoever dies, and attempts that are counted."""

from __future__ import annotations

import asyncio

import pytest
from inngest_kit import LEASE_S, enqueue, hands_of, inbox_of, read_all
from store_kit import pass_by

from service.by_inngest.custody import Custody
from service.lanes import LIVE
from service.messages.inbox import Entry, TakeState
from service.storage.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def store(either_store: Store) -> Store:
    """A store on an empty Redis, either way: what REST lacks must not be missed here."""
    return either_store


async def given(store: Store) -> Entry:
    """A message that the worker `w` took and gave."""
    await enqueue(store, "1")
    worker = inbox_of(store, "w")
    (entry,) = await read_all(worker)
    assert await worker.take(entry) == (TakeState.GO, 1)
    assert await hands_of(store, "w").give(entry.id) == 1
    return entry


async def test_given_message_is_received_with_its_fields(store: Store) -> None:
    """A run receives what a worker gave at once, and its attempt is the one that the worker counted."""
    entry = await given(store)
    received = await hands_of(store, "web").receive(entry.id)
    assert received.entry is not None
    assert (received.state, received.entry.fields) == (Custody.GIVEN, entry.fields)
    assert await inbox_of(store, "web").take(received.entry) == (TakeState.GO, 1)


async def test_workers_lease_does_not_take_it_back(store: Store) -> None:
    """A worker that renews what it had in hand while Inngest is told leaves it in Inngest's."""
    entry = await given(store)
    await inbox_of(store, "w").renew(LIVE, [entry.id])
    assert (await hands_of(store, "web").receive(entry.id)).state is Custody.GIVEN


async def test_one_run_receives_it(store: Store) -> None:
    """Of many runs at once one gets the message; the others are told when to ask again."""
    entry = await given(store)
    runs = await asyncio.gather(*(hands_of(store, f"web-{n}").receive(entry.id) for n in range(8)))
    assert sorted(run.state for run in runs) == [Custody.GIVEN, *[Custody.HELD] * 7]
    assert all(0 < run.held_ms <= LEASE_S * 1000 for run in runs if run.state is Custody.HELD)


async def test_worker_does_not_take_what_inngest_holds(store: Store) -> None:
    """Within a lease nobody else handles what Inngest was told of; after it, a worker does."""
    entry = await given(store)
    other = inbox_of(store, "other")
    assert await other.due(LIVE, ()) == []
    await pass_by(store, LEASE_S)
    (left,) = await other.due(LIVE, ())
    assert (left.id, await other.take(left)) == (entry.id, (TakeState.GO, 2))


async def test_dead_runs_message_is_received_after_its_lease(store: Store) -> None:
    """A run that is not seen for a lease loses its message to the next, which counts as another attempt."""
    entry = await given(store)
    await hands_of(store, "dead").receive(entry.id)
    assert (await hands_of(store, "web").receive(entry.id)).state is Custody.HELD
    await pass_by(store, LEASE_S)
    received = await hands_of(store, "web").receive(entry.id)
    assert received.entry is not None
    assert received.state is Custody.LEFT
    assert await inbox_of(store, "web").take(received.entry) == (TakeState.GO, 2)


async def test_attempts_of_runs_are_counted_one_by_one(store: Store) -> None:
    """Runs that fail and give the message back are its attempts 1, 2 and 3."""
    entry = await given(store)
    hands, inbox, attempts = hands_of(store, "web"), inbox_of(store, "web"), []
    for _ in range(3):
        received = await hands.receive(entry.id)
        assert received.entry is not None
        attempts.append((await inbox.take(received.entry))[1])
        assert await hands.give(entry.id, attempts=1) == attempts[-1] + 1
    assert attempts == [1, 2, 3]


async def test_only_the_holder_gives(store: Store) -> None:
    """What is in another's hand, or finished, cannot be given."""
    entry = await given(store)
    assert await hands_of(store, "w").give(entry.id) is None
    received = await hands_of(store, "web").receive(entry.id)
    assert received.entry is not None
    await inbox_of(store, "web").finish(received.entry)
    assert await hands_of(store, "web").give(entry.id) is None


@pytest.mark.parametrize("entry_id", ["1-0", "99999999999999-0"])
async def test_what_is_not_there_is_gone(store: Store, entry_id: str) -> None:
    """A message that is finished, or never was, is gone."""
    await inbox_of(store, "w").open(LIVE)
    received = await hands_of(store, "web").receive(entry_id)
    assert (received.state, received.entry) == (Custody.GONE, None)


async def test_message_removed_by_hand_is_gone(store: Store) -> None:
    """A message that somebody deleted from the stream is gone, though it is still pending."""
    entry = await given(store)
    await store.call("XDEL", LIVE.stream, entry.id)
    assert (await hands_of(store, "web").receive(entry.id)).state is Custody.GONE
