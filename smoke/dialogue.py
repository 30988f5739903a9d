"""Events sent, and what came of each: an answer, and perhaps replies.

That something is *not* answered is seen without waiting: a later message in the same chat, the sentinel, is
sent after it. Order within a chat is kept: when the sentinel is answered, the other would have been too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.webhook import Algorithm
from smoke.chat import Chat, Event
from smoke.evidence import Measured
from smoke.replies import Reply
from smoke.target import NoAnswerError, Target, Webhook, described

UNANSWERED = "the message sent after it in the same chat was not answered"


@dataclass(frozen=True)
class Dialogue:
    """Sends into chats and waits for replies, recording what goes wrong on the way."""

    measured: Measured
    target: Target
    limit_s: float

    def send(self, event: Event, algorithm: Algorithm = "sha512") -> Webhook:
        """Post *event*, which must be accepted: WAHA repeats whatever is not answered with a 2xx."""
        webhook = self.target.signed(event, algorithm)
        self.post(webhook)
        return webhook

    def post(self, webhook: Webhook) -> None:
        """Post a webhook, perhaps again; it must be accepted."""
        answer = self.target.post(webhook)
        self.measured(answer.status_code, "2xx", samples=1, ok=answer.is_success, detail=described(answer))

    def replies_before_sentinel(self, chat: Chat) -> list[Reply]:
        """The replies in *chat* up to now: those there when a message sent now is answered, less its own."""
        sentinel = chat.message("sentinel")
        self.send(sentinel)
        waited_s = chat.wait_for_reply(sentinel, self.limit_s)
        self._answered(waited_s)
        return chat.replies_except_to(sentinel)

    def replies_of(self, exchange: Exchange) -> list[Reply]:
        """What was replied in the chats of *exchange* before their sentinels; all of it was accepted."""
        for sending in (exchange.event, *exchange.sentinels):
            self._accepted(sending)
        for chat, sentinel in zip(exchange.chats, exchange.sentinels, strict=True):
            left_s = sentinel.sent_at + self.limit_s - time.monotonic()
            self._answered(chat.wait_for_reply(sentinel.event, left_s))
        sentinels = [sentinel.event for sentinel in exchange.sentinels]
        return [reply for chat in exchange.looked_at for reply in chat.replies_except_to(*sentinels)]

    def _accepted(self, sending: Sending) -> None:
        if sending.error:
            raise sending.error
        self.measured(sending.status, "2xx", samples=1, ok=sending.is_accepted, detail=sending.line)

    def _answered(self, waited_s: float | None) -> None:
        ok = waited_s is not None
        self.measured(waited_s, self.limit_s, unit="s", samples=1, ok=ok, detail=UNANSWERED)


@dataclass(frozen=True)
class Sending:
    """One event that was posted: when (monotonic), and the answer or why there is none."""

    event: Event
    sent_at: float
    status: int | None = None
    line: str = ""
    error: NoAnswerError | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether its sender need not send it again."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Script:
    """An event to send. `chats` get a sentinel each; `also` are looked at, where nobody could answer one."""

    event: Event
    chats: Sequence[Chat]
    also: Sequence[Chat] = ()


@dataclass(frozen=True)
class Exchange:
    """A script that was played: its event, and after it the sentinels, in the order of `chats`."""

    event: Sending
    chats: Sequence[Chat]
    sentinels: Sequence[Sending]
    looked_at: Sequence[Chat]


def play(target: Target, scripts: Mapping[str, Script]) -> dict[str, Exchange]:
    """Send the events of all *scripts*, then all sentinels: one wait is enough for all of them."""
    events = {name: _send(target, script.event) for name, script in scripts.items()}
    return {
        name: Exchange(
            events[name],
            script.chats,
            [_send(target, chat.message("sentinel")) for chat in script.chats],
            (*script.chats, *script.also),
        )
        for name, script in scripts.items()
    }


def _send(target: Target, event: Event) -> Sending:
    sent_at = time.monotonic()
    try:
        answer = target.post(target.signed(event))
    except NoAnswerError as error:
        return Sending(event, sent_at, error=error)
    return Sending(event, sent_at, answer.status_code, described(answer))
