"""Who holds a message that Inngest is to run: one consumer of the group, so that nobody else works on it.

A message that Inngest was told of is in the hand of a consumer of that name. It stays in the stream until it
is finished, whoever holds it: the stream is the truth, and an event only the wish to have it handled.

    read by a worker ─ give ─▶ Inngest's hand ─ receive ─▶ a run's hand ─┬─ finish
           ▲                       │     ▲                               │
           └─ Inngest was not told ┘     └── give: to be run once more ──┘

Who is not seen for a lease loses what he holds to a worker or another run, Inngest's hand included.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.lanes import GROUP, LIVE
from service.messages.inbox import Entry
from service.storage.store import Script, Store, fields_of

HOLDER = "inngest"
"""The consumer that holds what Inngest was told of. No process has this name: theirs have colons."""

_GIVE, _RECEIVE = Script.load("give"), Script.load("receive")


class Custody(StrEnum):
    """What `lua/receive.lua` says."""

    GIVEN = "given"
    LEFT = "left"
    HELD = "held"
    GONE = "gone"


@dataclass(frozen=True)
class Received:
    """What became of an attempt to receive a message. `entry`: the message, if it is ours now.

    `held_ms`: how long to wait before asking again, where another has it.
    """

    state: Custody
    held_ms: int
    entry: Entry | None


class Hands:
    """Live messages as they go between Inngest's hand and that of *consumer*. Methods raise `StoreError`."""

    def __init__(self, store: Store, consumer: str, *, lease_s: float) -> None:
        self._store = store
        self._consumer = consumer
        self._lease_ms = round(lease_s * 1000)

    async def give(self, entry_id: str, *, attempts: int = 0) -> int | None:
        """Put a message from our hand into Inngest's, counting so many *attempts* besides.

        Returns:
            The attempts now counted, the one that the next run is included; None if it was not in our hand,
            as it is when it is finished.
        """
        counted = await self._store.run(
            _GIVE, [LIVE.stream], [GROUP, self._consumer, entry_id, HOLDER, attempts]
        )
        return None if counted < 0 else int(counted)

    async def receive(self, entry_id: str) -> Received:
        """Take a message into our hand, unless somebody who lives has it."""
        answer = await self._store.run(
            _RECEIVE, [LIVE.stream], [GROUP, self._consumer, entry_id, HOLDER, self._lease_ms]
        )
        state = Custody(answer[0].decode())
        return Received(state, int(answer[1]), _entry(state, entry_id, answer[2:]))


def _entry(state: Custody, entry_id: str, parts: list[Any]) -> Entry | None:
    if state not in (Custody.GIVEN, Custody.LEFT):
        return None
    # What Inngest held counts as attempted already, by who gave it.
    return Entry(LIVE, entry_id, fields_of(parts), is_fresh=state is Custody.GIVEN)
