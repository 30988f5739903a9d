"""Parallel across chats, in order within one, and never more than allowed."""

from __future__ import annotations

import asyncio

from service.lanes import LIVE, gate_lane
from service.messages.chats import READ_AHEAD, Chats
from service.messages.inbox import Entry


def entry(chat: str, number: int) -> Entry:
    """The *number*-th message of *chat*."""
    return Entry(LIVE, f"{number}-0", {b"chat": chat.encode()})


class Work:
    """A handler whose steps the test lets go on."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, entry: Entry) -> None:
        self.begun.append(f"{entry.chat}{entry.id[0]}")
        await self.gate.wait()
        self.ended.append(f"{entry.chat}{entry.id[0]}")


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_chat_is_serial_and_chats_are_parallel() -> None:
    """The second message of a chat begins after the first; another chat's does not wait."""
    work = Work()
    chats = Chats(work, concurrency=10)
    for chat, number in (("a", 1), ("a", 2), ("b", 3)):
        chats.hand_over(entry(chat, number))
    await settle()
    assert work.begun == ["a1", "b3"]
    work.gate.set()
    assert await chats.end(1) == 0
    assert work.ended.index("a1") < work.ended.index("a2")


async def test_lanes_of_one_chat_do_not_wait_for_each_other() -> None:
    """The same chat in the gate's lane is another chat."""
    work = Work()
    chats = Chats(work, concurrency=10)
    chats.hand_over(entry("a", 1))
    chats.hand_over(Entry(gate_lane("r"), "2-0", {b"chat": b"a"}))
    await settle()
    assert work.begun == ["a1", "a2"]
    work.gate.set()
    await chats.end(1)


async def test_concurrency_is_bounded() -> None:
    """No more than the allowed number is worked on at once, however many are held."""
    work = Work()
    chats = Chats(work, concurrency=2)
    for number in range(5):
        chats.hand_over(entry(f"chat{number}", number))
    await settle()
    assert len(work.begun) == 2
    work.gate.set()
    await chats.end(1)
    assert len(work.ended) == 5


async def test_room_is_made_by_finishing() -> None:
    """When all places are taken, `room` waits for one to be free, but not for ever."""
    work = Work()
    chats = Chats(work, concurrency=1)
    for number in range(READ_AHEAD):
        chats.hand_over(entry("a", number))
    assert await chats.room(0.01) == 0
    waiting = asyncio.create_task(chats.room(60))
    await settle()
    assert not waiting.done()
    work.gate.set()
    async with asyncio.timeout(20):
        assert await waiting >= 1
    await chats.end(1)


async def test_a_busy_chat_leaves_room_for_the_others() -> None:
    """As long as one more could be worked on: what is left comes up again in the inbox."""
    work = Work()
    chats = Chats(work, concurrency=2)
    for number in range(50):
        again = Entry(LIVE, f"{number}-0", {b"chat": b"a"}, is_fresh=False)
        chats.hand_over(again)
    assert await chats.room(0.01) == READ_AHEAD
    chats.hand_over(entry("b", 60))
    await settle()
    assert work.begun == ["a0", "b6"]
    work.gate.set()
    await chats.end(1)
    assert sorted(work.ended) == ["a0", "a1", "a2", "a3", "b6"]


async def test_what_was_just_read_and_is_left_is_noted_as_waiting() -> None:
    """The handler asks the inbox, which says that it is not its turn: having been read is no attempt."""
    work = Work()
    chats = Chats(work, concurrency=10)
    for number in range(READ_AHEAD + 1):
        chats.hand_over(entry("a", number))
    await settle()
    assert work.begun == ["a0", f"a{READ_AHEAD}"]
    work.gate.set()
    await chats.end(1)
    assert len(work.ended) == READ_AHEAD + 1


async def test_held_entry_is_not_taken_twice() -> None:
    """An entry that is read and found due at once is worked on once."""
    work = Work()
    chats = Chats(work, concurrency=1)
    chats.hand_over(entry("a", 1))
    chats.hand_over(entry("a", 1))
    work.gate.set()
    await chats.end(1)
    assert work.ended == ["a1"]
    assert chats.in_hand(LIVE) == set()


async def test_end_cancels_what_takes_too_long() -> None:
    """After the grace the rest is left, and counted."""
    work = Work()
    chats = Chats(work, concurrency=1)
    chats.hand_over(entry("a", 1))
    await settle()
    assert await chats.end(0.01) == 1
    assert work.ended == []
