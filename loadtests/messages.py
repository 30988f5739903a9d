"""Names the messages of one run, so that a reply is matched to its webhook by the name alone."""

from __future__ import annotations

import secrets
from typing import Any

from contracts.webhook import message_event
from loadtests.arrivals import Kind

_INDEX_DIGITS = 8
_CHATS = 500
_RUNS = 19_997
"""That many have chats of their own, within seven digits."""
_ULID_LENGTH = 26


def new_run() -> str:
    """A random part that tells one run's messages from those of every other."""
    return secrets.token_hex(6).upper()


class Messages:
    """The messages of one run, numbered. Whoever knows the run makes the same bytes of a message.

    Args:
        run: as `new_run` gives it: hexadecimal digits.
        start_s: when the run starts, in seconds since the epoch.
    """

    def __init__(self, run: str, start_s: float = 0) -> None:
        self._run, self._start_s = run, start_s

    def event(self, index: int, due_s: float, kind: Kind = Kind.MESSAGE) -> dict[str, Any]:
        """The WAHA event of message *index*, which happened *due_s* into the run, in the form of *kind*."""
        chat = self._lid(index) if kind == Kind.LID else self._chat(index)
        event = message_event(
            f"load {index}",
            chat_id=chat,
            message_id=self._bare_id(index),
            event="message.any" if kind == Kind.ANY else "message",
        )
        # A retry is the same event byte for byte; every other form is an event of its own.
        own = Kind.MESSAGE if kind == Kind.RETRIED else kind
        event["id"] = "evt_" + f"{own:X}{self._bare_id(index)}".lower().rjust(_ULID_LENGTH, "0")
        event["timestamp"] = int((self._start_s + due_s) * 1000)
        event["payload"]["timestamp"] = int(self._start_s + due_s)
        return event

    def payload_ids(self, index: int) -> tuple[str, str]:
        """The payload ids of message *index*, plain and hidden: its reply names one of them as `replyTo`."""
        bare_id = self._bare_id(index)
        return f"false_{self._chat(index)}_{bare_id}", f"false_{self._lid(index)}_{bare_id}"

    def index_of(self, payload_id: str) -> int | None:
        """Which message *payload_id* is; None when it is not one of this run."""
        try:
            index = int(payload_id[-_INDEX_DIGITS:], 16)
        except ValueError:
            return None
        return index if payload_id in self.payload_ids(index) else None

    def _chat(self, index: int) -> str:
        return f"1555{self._number(index):07d}@c.us"

    def _lid(self, index: int) -> str:
        return f"2777{self._number(index):011d}@lid"

    def _number(self, index: int) -> int:
        """The chat's: of the run's own ones, since a chat's messages wait for each other."""
        return int(self._run, 16) % _RUNS * _CHATS + index % _CHATS

    def _bare_id(self, index: int) -> str:
        return f"{self._run}{index:0{_INDEX_DIGITS}X}"
