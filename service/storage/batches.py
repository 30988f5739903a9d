"""Gathers the calls of an event-loop turn into batches: the more is asked, the larger they grow.

Futures and callbacks, no tasks: a webhook waits for each turn of the loop that its call takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.storage.store import Command, Moved, Script, ScriptMissing, StoreAway

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
    missed: bool = False
    """Whether Redis has said that it does not have the script."""
    moved: bool = False
    """Whether Redis has said that another node has the keys."""

    def to_send(self, known: set[str]) -> Command:
        """What to send, given the digests of the scripts that were sent whole; adds to them."""
        if self.script is None:
            return self.command
        if self.script.sha1 in known and not self.missed:
            return ("EVALSHA", self.script.sha1, *self.command)
        known.add(self.script.sha1)
        return ("EVAL", self.script.text, *self.command)

    def goes_again(self, reply: Any) -> bool:
        """Whether *reply* says, for the first time, what to do differently: nothing was done so far."""
        if isinstance(reply, ScriptMissing) and not self.missed:
            self.missed = True
        elif isinstance(reply, Moved) and not self.moved:
            self.moved = True
        else:
            return False
        return True


Send = Callable[[Sequence[Call]], asyncio.Future[list[Any]]]
"""Sends calls at once; the future has their replies, error replies as values, or an error for all of them."""


class Batches:
    """Collects calls and sends them together, at most `IN_FLIGHT` batches at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[Call] = deque()
        self._flying: set[asyncio.Future[list[Any]]] = set()
        self._flush_is_due = False

    def put(
        self, command: Command, script: Script | None = None, *, at_once: bool = False
    ) -> asyncio.Future[Any]:
        """Add a call to the next batch; whoever gives up waiting just cancels the future.

        *at_once*: the batch leaves now, if one may, and not at the end of the turn.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Call(command, script, answer))
        if at_once:
            self._flush()
        else:
            self._flush_soon()
        return answer

    def _flush_soon(self) -> None:
        """Once for a turn: what is asked for until then goes along."""
        if self._waiting and not self._flush_is_due and len(self._flying) < IN_FLIGHT:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if len(self._flying) >= IN_FLIGHT:  # the next one leaves when one has landed
            return
        batch: list[Call] = []
        while self._waiting and len(batch) < LONGEST:
            call = self._waiting.popleft()
            if not call.answer.done():
                batch.append(call)
        if batch:
            flight = self._sent(batch)
            self._flying.add(flight)
            flight.add_done_callback(partial(self._landed, batch))
        self._flush_soon()

    def _sent(self, batch: list[Call]) -> asyncio.Future[list[Any]]:
        try:
            return self._send(batch)
        except Exception as error:  # such as an argument that cannot be sent: its callers are told
            failed: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    def _landed(self, batch: list[Call], flight: asyncio.Future[list[Any]]) -> None:
        """Hand out the replies: nobody's call stays without an end."""
        self._flying.discard(flight)
        if flight.cancelled():
            replies: list[Any] = [StoreAway("the connection to Redis was closed")] * len(batch)
        elif (error := flight.exception()) is not None:  # it is the callers' who know what to do
            replies = [error] * len(batch)
        else:
            replies = flight.result()
        for call, reply in zip(batch, replies, strict=True):
            if call.goes_again(reply):
                self._waiting.append(call)
            else:
                _hand_out(call, reply)
        self._flush_soon()

    async def aclose(self) -> None:
        """End all calls with `StoreAway`."""
        waiting, self._waiting = list(self._waiting), deque()
        for call in waiting:
            _hand_out(call, StoreAway("the connection to Redis was closed"))
        flying = list(self._flying)
        for flight in flying:
            flight.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


def _hand_out(call: Call, reply: Any) -> None:
    if call.answer.done():  # its caller gave up
        return
    if isinstance(reply, BaseException):
        call.answer.set_exception(reply)
    else:
        call.answer.set_result(reply)
