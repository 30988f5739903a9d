"""Run messages in parallel, those of one chat one after another in the order they were handed over."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from service.lanes import Lane
from service.messages.inbox import Entry

Handle = Callable[[Entry], Awaitable[None]]
"""Works on one entry; it deals with its own errors."""

READ_AHEAD = 4
"""Messages held for each one worked on: one busy chat's queue must not keep the others from being read."""


class Chats:
    """At most *concurrency* messages are worked on at once, and `READ_AHEAD` times as many held."""

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
        """Have *entry* worked on after all earlier ones of its chat. One already held is not taken twice."""
        if (entry.lane, entry.id) in self._in_hand:
            return
        self._in_hand.add((entry.lane, entry.id))
        chat = (entry.lane, entry.chat)
        if chat in self._waiting:
            self._waiting[chat].append(entry)
            return
        self._waiting[chat] = deque([entry])
        task = asyncio.create_task(self._work(chat))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, chat: tuple[Lane, str]) -> None:
        waiting = self._waiting[chat]
        try:
            while waiting:
                entry = waiting.popleft()
                async with self._slots:
                    await self._handle(entry)
                self._in_hand.discard((entry.lane, entry.id))
                self._freed.set()
        finally:
            del self._waiting[chat]

    async def end(self, timeout_s: float) -> int:
        """Let what is held be finished within *timeout_s*, cancel the rest; how many that was."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(self)
