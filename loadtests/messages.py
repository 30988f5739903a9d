"""Names the messages of one run, so that a reply is matched to its webhook by the name alone."""

from __future__ import annotations

import secrets
from typing import Any

from contracts.webhook import message_event

_INDEX_DIGITS = 8
_CHATS = 500


class Messages:
    """The messages of one run: numbered, and told from those of every other run by a random part."""

    def __init__(self, run: str | None = None) -> None:
        self._run = run or secrets.token_hex(6).upper()

    def event(self, index: int) -> dict[str, Any]:
        """The WAHA event of message *index*, timestamped now."""
        return message_event(f"load {index}", chat_id=self._chat(index), message_id=self._bare_id(index))

    def payload_id(self, index: int) -> str:
        """The full payload id of message *index*, which its reply names as `replyTo`."""
        return f"false_{self._chat(index)}_{self._bare_id(index)}"

    def index_of(self, payload_id: str) -> int | None:
        """Which message *payload_id* is; None when it is not one of this run."""
        try:
            index = int(payload_id[-_INDEX_DIGITS:], 16)
        except ValueError:
            return None
        return index if payload_id == self.payload_id(index) else None

    def _chat(self, index: int) -> str:
        return f"1555{index % _CHATS:07d}@c.us"

    def _bare_id(self, index: int) -> str:
        return f"{self._run}{index:0{_INDEX_DIGITS}X}"
