"""Conversations with the release: fresh chats, the messages sent into them, and the wait for a reply."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from contracts.webhook import message_event
from smoke.replies import Replies, Reply

POLL_S = 0.05

Event = dict[str, Any]


@dataclass
class Conversations:
    """All chats of one run, and the messages in them that must never be answered.

    Chat ids look like phone numbers of a country code that nobody has, and are new in each run.
    """

    replies: Replies
    chats: list[Chat] = field(default_factory=list)
    unanswerable: set[str] = field(default_factory=set)

    def open(self, domain: str = "c.us") -> Chat:
        """A chat nobody has written to; *domain* `lid` is WhatsApp's form that hides the number."""
        return self._opened(Chat(f"999{secrets.randbelow(10**12):012d}@{domain}", self.replies))

    def join(self, chat_id: str) -> Chat:
        """A chat that is not the run's own: only the replies from now on count."""
        return self._opened(Chat(chat_id, self.replies, len(self.replies.of_chat(chat_id))))

    def _opened(self, chat: Chat) -> Chat:
        self.chats.append(chat)
        return chat

    def forbid_answer(self, event: Event) -> Event:
        """Note that *event* must stay unanswered, and give it back."""
        self.unanswerable.add(message_id(event))
        return event

    def all_replies(self) -> list[Reply]:
        """Every reply recorded so far in any chat of the run."""
        return [reply for chat in self.chats for reply in chat.replies()]


@dataclass(frozen=True)
class Chat:
    """One chat: builds the messages that come from it and reads the replies that go to it.

    `earlier`: how many replies were there before the run.
    """

    id: str
    source: Replies
    earlier: int = 0

    def message(self, text: str, **overrides: Any) -> Event:
        """A `message` event from this chat; *overrides* as `contracts.webhook.message_event` takes them."""
        return message_event(text, chat_id=self.id, **overrides)

    def replies(self) -> list[Reply]:
        """The run's replies recorded so far."""
        return self.source.of_chat(self.id)[self.earlier :]

    def replies_except_to(self, *events: Event) -> list[Reply]:
        """The replies recorded so far to anything but *events*."""
        ids = {message_id(event) for event in events}
        return [reply for reply in self.replies() if reply.reply_to not in ids]

    def wait_for_reply(self, event: Event, within_s: float) -> float | None:
        """The seconds until *event* is answered, or None if it is not within the time."""
        started = time.monotonic()
        while True:
            answered = self.reply_to(event) is not None
            waited = time.monotonic() - started
            if answered or waited > within_s:
                return waited if answered else None
            time.sleep(POLL_S)

    def reply_to(self, event: Event) -> Reply | None:
        """The first reply recorded so far to *event*."""
        return next((reply for reply in self.replies() if reply.reply_to == message_id(event)), None)


def message_id(event: Event) -> str:
    """The full id of the message that *event* carries."""
    return str(event["payload"]["id"])


def bare_id(full_id: str | None) -> str | None:
    """The part of a full message id that all forms of one message share."""
    parts = (full_id or "").split("_")
    return parts[2] if len(parts) > 2 else full_id
