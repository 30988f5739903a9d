"""Batches: what is asked for while others are under way goes together, and every caller gets an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.storage.batches import IN_FLIGHT, LONGEST, Batches, Call
from service.storage.store import Moved, Script, ScriptMissing, StoreAway


class Wire:
    """Sends nothing: keeps the batches, and answers each when told to."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.answers: list[asyncio.Future[list[Any]]] = []
        self.known: set[str] = set()

    def send(self, calls: Sequence[Call]) -> asyncio.Future[list[Any]]:
        self.batches.append([call.to_send(self.known)[0] for call in calls])
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


async def turns(count: int = 4) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_batches_grow_while_others_fly() -> None:
    """With as many under way as there may be, the rest waits and goes as one when one has landed."""
    wire = Wire()
    batches = Batches(wire.send)
    for number in range(IN_FLIGHT + 3):
        batches.put((number,))
        await turns()
    assert wire.batches == [[0], [1]]
    wire.answers[0].set_result(["a"])
    await turns()
    assert wire.batches == [[0], [1], [2, 3, 4]]
    await batches.aclose()


async def test_a_call_may_leave_at_once() -> None:
    """With what waits, and only as one more than are under way may be."""
    wire = Wire()
    batches = Batches(wire.send)
    batches.put(("a",))
    batches.put(("b",), at_once=True)
    assert wire.batches == [["a", "b"]]
    batches.put(("c",), at_once=True)
    batches.put(("d",), at_once=True)
    await turns()
    assert wire.batches == [["a", "b"], ["c"]]
    wire.answers[0].set_result([1, 2])
    await turns()
    assert wire.batches == [["a", "b"], ["c"], ["d"]]
    await batches.aclose()


async def test_batches_are_bounded() -> None:
    """More than a batch holds go as several, in order."""
    wire = Wire()
    batches = Batches(wire.send)
    for number in range(LONGEST + 1):
        batches.put((number,))
    await turns()
    assert wire.batches == [list(range(LONGEST)), [LONGEST]]
    await batches.aclose()


async def test_what_was_given_up_is_not_sent() -> None:
    """A call cancelled before its batch leaves is not in it; a batch of none is not sent."""
    wire = Wire()
    batches = Batches(wire.send)
    batches.put(("a",)).cancel()
    await turns()
    batches.put(("b",)).cancel()
    kept = batches.put(("c",))
    await turns()
    assert wire.batches == [["c"]]
    wire.answers[0].set_result([b"reply"])
    assert await kept == b"reply"


@pytest.mark.parametrize("failure", [StoreAway("gone"), RuntimeError("a mistake of ours")])
async def test_a_batch_that_fails_fails_for_all(failure: Exception) -> None:
    """Whatever went wrong with a batch, each of its callers hears of it, and the next batch goes."""
    wire = Wire()
    batches = Batches(wire.send)
    calls = [batches.put(("a",)), batches.put(("b",))]
    await turns()
    wire.answers[0].set_exception(failure)
    assert await asyncio.gather(*calls, return_exceptions=True) == [failure, failure]
    after = batches.put(("c",))
    await turns()
    wire.answers[1].set_result([1])
    assert await after == 1


async def test_closing_ends_calls_under_way_and_waiting() -> None:
    """Nobody waits for ever."""
    wire = Wire()
    batches = Batches(wire.send)
    calls = []
    for _ in range(IN_FLIGHT + 1):
        calls.append(batches.put(("a",)))
        await turns()
    await batches.aclose()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreAway] * (IN_FLIGHT + 1)


async def test_scripts_that_redis_forgot_are_sent_once_more_with_their_text() -> None:
    """Only they, since the rest was done; and a Redis that still does not know them has refused them."""
    wire = Wire()
    batches = Batches(wire.send)
    script = Script("two", b"return 2", "sha")
    wire.known.add(script.sha1)
    calls = [batches.put(("a",)), batches.put((0,), script)]
    await turns()
    wire.answers[0].set_result([1, ScriptMissing("NOSCRIPT")])
    await turns()
    assert wire.batches == [["a", "EVALSHA"], ["EVAL"]]
    assert await calls[0] == 1
    wire.answers[1].set_result([ScriptMissing("NOSCRIPT")])
    with pytest.raises(ScriptMissing):
        await calls[1]
    assert len(wire.batches) == 2


async def test_what_another_node_has_is_asked_for_once_more() -> None:
    """Nothing was done, so that it is safe; nodes that send us to and fro are away."""
    wire = Wire()
    batches = Batches(wire.send)
    call = batches.put(("a",))
    await turns()
    for answer in (0, 1):
        wire.answers[answer].set_result([Moved("MOVED", ("127.0.0.1", 2))])
        await turns()
    assert wire.batches == [["a"], ["a"]]
    with pytest.raises(StoreAway):
        await call
