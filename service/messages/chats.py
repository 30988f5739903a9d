"""Run messages in parallel, those of one chat one after another in the order they were handed over."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from service.lanes import Lane
from service.messages.inbox import Entry

Handle = Callable[[Entry], Awaitable[None]]
"""Works on one entry; it deals with its own errors."""

READ_AHEAD = 4
"""Messages of one chat that are held at most."""


class Chats:
    """At most *concurrency* messages are worked on at once, and `READ_AHEAD` times as many held.

    So there is room for other chats' messages as long as anything is free that could work on them.
    """

    def __init__(self, handle: Handle, *, concurrency: int) -> None:
        self._handle = handle
        self._capacity = concurrency * READ_AHEAD
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: dict[tuple[Lane, str], deque[Entry]] = {}
        self._in_hand: set[tuple[Lane, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._in_hand)

    def in_hand(self, lane: Lane) -> set[str]:
        """The ids of the lane's entries that are held."""
        return {entry_id for held, entry_id in self._in_hand if held == lane}

    async def room(self, timeout_s: float) -> int:
        """How many more entries may be handed over, perhaps 0; waits up to *timeout_s* for room for one."""
        if len(self) >= self._capacity:
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), timeout_s)
        return max(0, self._capacity - len(self))

    def hand_over(self, entry: Entry) -> None:
        """Have *entry* worked on after all earlier ones of its chat. One already held is not taken twice.

        Of a chat that has `READ_AHEAD` here it is left in the inbox, where it comes up again.
        """
        if (entry.lane, entry.id) in self._in_hand:
            return
        chat = (entry.lane, entry.chat)
        waiting = self._waiting.get(chat)
        if waiting is None:
            self._waiting[chat] = deque([entry])
            self._start(entry, self._work(chat))
        elif len(waiting) < READ_AHEAD:
            waiting.append(entry)
            self._in_hand.add((entry.lane, entry.id))
        elif entry.is_fresh:
            # The inbox notes that it waits for its turn, so that having been read counts as no attempt.
            self._start(entry, self._work_on(entry))

    def _start(self, entry: Entry, work: Coroutine[None, None, None]) -> None:
        self._in_hand.add((entry.lane, entry.id))
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, chat: tuple[Lane, str]) -> None:
        waiting = self._waiting[chat]
        try:
            while waiting:
                await self._work_on(waiting[0])
                waiting.popleft()
        finally:
            del self._waiting[chat]

    async def _work_on(self, entry: Entry) -> None:
        async with self._slots:
            await self._handle(entry)
        self._in_hand.discard((entry.lane, entry.id))
        self._freed.set()

    async def end(self, timeout_s: float) -> int:
        """Let what is held be finished within *timeout_s*, cancel the rest; how many that was."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(self)
