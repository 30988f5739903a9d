"""Gathers the calls of an event-loop turn into batches: the more is asked, the larger they grow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.storage.store import Command, Script, ScriptMissing, StoreAway

IN_FLIGHT = 2
"""Batches on their way at once: one that Redis works on, and one that waits at its door."""

LONGEST = 512
"""Commands in a batch; more would keep Redis from others, and their callers from the first replies."""


@dataclass(slots=True)
class Call:
    """A command, or a *script* with its keys and arguments as EVALSHA has them after the digest."""

    command: Command
    script: Script | None
    answer: asyncio.Future[Any]

    def to_send(self, known: set[str]) -> Command:
        """What to send, given the digests of the scripts that were sent whole; adds to them."""
        if self.script is None:
            return self.command
        if self.script.sha1 in known:
            return ("EVALSHA", self.script.sha1, *self.command)
        known.add(self.script.sha1)
        return ("EVAL", self.script.text, *self.command)


Ask = Callable[[Sequence[Command]], Awaitable[list[Any]]]
"""One round trip: each command's reply, error replies as values."""


async def ask_all(ask: Ask, calls: Sequence[Call], known: set[str]) -> list[Any]:
    """The replies to *calls*; scripts that Redis has forgotten are sent again, since those were not run."""
    replies = await ask([call.to_send(known) for call in calls])
    missed = [number for number, reply in enumerate(replies) if isinstance(reply, ScriptMissing)]
    if missed:
        known.clear()
        again = await ask([calls[number].to_send(known) for number in missed])
        for number, reply in zip(missed, again, strict=True):
            replies[number] = reply
    return replies


Send = Callable[[Sequence[Call]], Awaitable[Sequence[Any]]]
"""Gives each call's reply, or the error for it as a value; raises an error that is for all of them."""


class Batches:
    """Collects calls and sends them together, at most `IN_FLIGHT` batches at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[Call] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        self._flush_is_due = False

    def put(self, command: Command, script: Script | None = None) -> asyncio.Future[Any]:
        """Add a call to the next batch; whoever gives up waiting just cancels the future."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Call(command, script, answer))
        self._flush_soon()
        return answer

    def _flush_soon(self) -> None:
        """Once for a turn: what is asked for until then goes along."""
        if self._waiting and not self._flush_is_due and len(self._flying) < IN_FLIGHT:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        batch: list[Call] = []
        while self._waiting and len(batch) < LONGEST:
            call = self._waiting.popleft()
            if not call.answer.done():
                batch.append(call)
        if batch:
            task = asyncio.create_task(self._fly(batch))
            self._flying.add(task)
            task.add_done_callback(self._landed)
        self._flush_soon()

    async def _fly(self, batch: list[Call]) -> None:
        """Send *batch* and hand out the replies: nobody's call stays without an end."""
        try:
            replies = await self._send(batch)
        except Exception as error:  # whatever it is, it is the callers' who know what to do
            replies = [error] * len(batch)
        except asyncio.CancelledError:
            _hand_out(batch, [StoreAway("the connection was closed")] * len(batch))
            raise
        _hand_out(batch, replies)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        self._flush_soon()

    async def aclose(self) -> None:
        """End all calls with `StoreAway`."""
        waiting, self._waiting = list(self._waiting), deque()
        _hand_out(waiting, [StoreAway("the connection was closed")] * len(waiting))
        flying = list(self._flying)
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


def _hand_out(batch: Sequence[Call], replies: Sequence[Any]) -> None:
    for call, reply in zip(batch, replies, strict=True):
        if call.answer.done():  # its caller gave up
            continue
        if isinstance(reply, Exception):
            call.answer.set_exception(reply)
        else:
            call.answer.set_result(reply)
