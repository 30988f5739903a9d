"""Old backlog: what a person wrote long ago is kept, and not answered out of the blue."""

from __future__ import annotations

from service.event import Message
from service.messages.inbox import Entry


def is_too_old(entry: Entry, message: Message, *, max_age_s: float, now_ms: int) -> bool:
    """Whether the message's own time, or its webhook's where none is told, is longer ago than *max_age_s*.

    What an operator put back is to be answered whatever its age.
    """
    if entry.is_replayed:
        return False
    sent_ms = entry.received_ms if message.sent_ms is None else message.sent_ms
    return now_ms - sent_ms > max_age_s * 1000
