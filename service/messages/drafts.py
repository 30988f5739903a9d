"""Replies that were written and not sent: a second attempt need not ask, and pay, the model again."""

from __future__ import annotations

from collections import OrderedDict

MOST = 1000
"""Of one process; the oldest are forgotten, and written anew when their turn comes."""


class Drafts:
    """Texts by the ids of the entries they answer."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._texts: OrderedDict[str, str] = OrderedDict()

    def keep(self, entry_id: str, text: str) -> None:
        """Remember *text* for the next attempt."""
        self._texts[entry_id] = text
        if len(self._texts) > self._most:
            self._texts.popitem(last=False)

    def take(self, entry_id: str) -> str | None:
        """The text, which is forgotten with this."""
        return self._texts.pop(entry_id, None)
