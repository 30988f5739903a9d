"""`queue`: what an operator sees of the messages that were given up, and does with them.

Much may have been given up, so replaying and dropping go by pages, oldest first, and end after some seconds
with where to go on: whoever asks for all of it asks again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.accounts.database import Database, MessageOutcome, MessageRecord
from service.event import Message
from service.messages.billing import record_of
from service.messages.kept_messages import Kept, KeptMessage, KeptMessages
from service.operating.refusal import OperatorRefused

PAGE = 100
"""Records in one step: Redis does nothing else for a few ms."""

BUDGET_S = 10.0
AT_ONCE = 8
"""Calls of the database under way at once."""


@dataclass(frozen=True)
class Chosen:
    """Which records: those with these `ids`, or, without any, all above `after` and up to `through`.

    `through` is None at first: then it is the newest that is there now, so that what dies again meanwhile
    is not taken up again.
    """

    ids: tuple[str, ...] = ()
    after: str | None = None
    through: str | None = None


@dataclass(frozen=True)
class Done:
    """What became of a page, or of all that was chosen: how many were done, and whether the queue is full."""

    count: int
    is_full: bool = False


@dataclass(frozen=True)
class Worked:
    """What was done; `rest` is what remains to be asked for, None where nothing does. `left`: still kept."""

    count: int
    is_full: bool
    rest: Chosen | None
    left: int


Act = Callable[[Sequence[KeptMessage]], Awaitable[Done]]


async def list_kept(messages: KeptMessages, limit: int) -> dict[str, Any]:
    """The newest *limit* records without texts and numbers of people, and how many there are in all."""
    total, newest = await asyncio.gather(messages.count(), messages.newest(limit))
    now_ms = time.time_ns() // 1_000_000
    return {"total": total, "messages": [kept.described(now_ms) for kept in newest]}


async def replay(
    messages: KeptMessages,
    kept: Kept,
    chosen: Chosen,
    *,
    longest: int,
    may_send_twice: bool,
    budget_s: float = BUDGET_S,
) -> Worked:
    """Put the chosen records back, as long as the queue is shorter than *longest*.

    Raises:
        OperatorRefused: they may have been answered already, or one that was named is not there.
    """
    if kept is Kept.UNKNOWN and not may_send_twice:
        raise OperatorRefused(
            "these replies may have been sent: to replay them may send them a second time",
            "look into the chats first; --may-send-twice replays them all the same",
        )

    async def put_back(page: Sequence[KeptMessage]) -> Done:
        replayed = await messages.replay(page, longest)
        return Done(replayed.count, replayed.is_full)

    return await _work(messages, chosen, put_back, budget_s)


async def drop(
    messages: KeptMessages, database: Database, chosen: Chosen, *, budget_s: float = BUDGET_S
) -> Worked:
    """Delete the chosen records for good, and give back the credits that their messages hold.

    Raises:
        OperatorRefused: one that was named is not there.
        DatabaseFailed: not all of them were given back; what is left can be dropped again.
    """
    at_once = asyncio.Semaphore(AT_ONCE)

    async def release(kept: KeptMessage) -> None:
        message = kept.message()
        if message:  # what cannot be read was never charged
            async with at_once:
                await database.settle(_failed(kept, message))

    async def delete(page: Sequence[KeptMessage]) -> Done:
        # First: a crash in between leaves the record, and to release twice is to release once.
        await asyncio.gather(*map(release, page))
        return Done(await messages.delete(page))

    return await _work(messages, chosen, delete, budget_s)


async def _work(messages: KeptMessages, chosen: Chosen, act: Act, budget_s: float) -> Worked:
    """Have *act* done on each page of what is chosen, for about *budget_s*."""
    if chosen.ids:
        done, rest = await _work_on_named(messages, chosen.ids, act), None
    else:
        done, rest = await _work_on_all(messages, chosen, act, time.monotonic() + budget_s)
    return Worked(done.count, done.is_full, rest, await messages.count())


async def _work_on_named(messages: KeptMessages, ids: Sequence[str], act: Act) -> Done:
    found = await messages.named(sorted(set(ids), key=_age))
    missing = sorted(set(ids) - {kept.id for kept in found}, key=_age)
    if missing:
        named = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise OperatorRefused(
            f"{len(missing)} of {len(set(ids))} are not there (any more): {named}; nothing was done",
            "`bin/runbook queue dead` and `bin/runbook queue unknown` list those that are",
        )
    count = 0
    for start in range(0, len(found), PAGE):
        done = await act(found[start : start + PAGE])
        count += done.count
        if done.is_full:
            return Done(count, is_full=True)
    return Done(count)


async def _work_on_all(
    messages: KeptMessages, chosen: Chosen, act: Act, deadline_s: float
) -> tuple[Done, Chosen | None]:
    count, after = 0, chosen.after
    through = chosen.through or await messages.last_id()
    while through and (page := await messages.page(after, through, PAGE)):
        done = await act(page)
        count, after = count + done.count, page[-1].id
        if done.is_full:
            return Done(count, is_full=True), None
        if time.monotonic() >= deadline_s:
            return Done(count), Chosen(after=after, through=through)
    return Done(count), None


def _failed(kept: KeptMessage, message: Message) -> MessageRecord:
    """The message as one that ended without a reply, just now."""
    received_ms = kept.number("received") or time.time_ns() // 1_000_000
    return record_of(message, MessageOutcome.FAILED, reply="", received_ms=received_ms)


def _age(record_id: str) -> tuple[int, int]:
    """By what records are ordered: the parts of the id are numbers."""
    milliseconds, _, sequence = record_id.partition("-")
    return int(milliseconds), int(sequence)
