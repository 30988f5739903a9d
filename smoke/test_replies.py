"""What must be answered, once, and what must not be answered.

That something is *not* answered is seen without waiting: a later message in the same chat, the sentinel, is
sent after it. Order within a chat is kept: when the sentinel is answered, the other would have been too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contracts.targets import Targets
from contracts.webhook import Algorithm, new_ulid
from smoke.chat import Chat, Conversations, bare_id, message_id
from smoke.evidence import Measured
from smoke.replies import Reply
from smoke.target import Target, Webhook, described

Event = dict[str, Any]


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
        detail = "the message sent after it in the same chat was not answered"
        self.measured(waited_s, self.limit_s, unit="s", samples=1, ok=waited_s is not None, detail=detail)
        return chat.replies_except_to(sentinel)


@pytest.fixture
def dialogue(measured: Measured, target: Target, targets: Targets) -> Dialogue:
    """A dialogue that waits for each reply as long as the limit allows."""
    return Dialogue(measured, target, targets.smoke.reply_within_s)


@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_signed_message_is_answered_once(
    measured: Measured,
    dialogue: Dialogue,
    conversations: Conversations,
    stop_run: Callable[[str], None],
    algorithm: Algorithm,
) -> None:
    """A signed message is accepted and answered within the limit, by exactly one reply."""
    chat, limit_s = conversations.open(), dialogue.limit_s
    event = chat.message(f"hello, signed with {algorithm}")
    dialogue.send(event, algorithm)
    waited_s = chat.wait_for_reply(event, limit_s)
    if waited_s is None:
        stop_run("messages are not answered")
        measured(None, limit_s, unit="s", samples=1, ok=False, detail=f"no reply within {limit_s:g} s")
        return
    count = len(dialogue.replies_before_sentinel(chat))
    measured(count, 1, unit="replies", samples=1, ok=count == 1, detail="one message was sent")
    measured(round(waited_s, 3), limit_s, unit="s", samples=1, ok=True)


def _new_event(original: Event, **changes: Any) -> Event:
    return {**original, "id": f"evt_{new_ulid().lower()}", **changes}


DUPLICATES: dict[str, Callable[[Event], Event]] = {
    "another event id": _new_event,
    "also as message.any": lambda event: _new_event(event, event="message.any"),
}


def test_retried_webhook_is_not_answered_again(
    measured: Measured, dialogue: Dialogue, conversations: Conversations
) -> None:
    """A webhook that WAHA repeats byte for byte is accepted again and its message has one reply."""
    chat = conversations.open()
    dialogue.post(dialogue.send(chat.message("say this once")))
    count = len(dialogue.replies_before_sentinel(chat))
    measured(count, 1, unit="replies", samples=2, ok=count == 1, detail="one webhook was sent twice")


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_duplicate_is_not_answered_again(
    measured: Measured, dialogue: Dialogue, conversations: Conversations, duplicate: str
) -> None:
    """The same message in another event is accepted and has one reply."""
    chat = conversations.open()
    event = chat.message("say this once")
    dialogue.send(event)
    dialogue.send(DUPLICATES[duplicate](event))
    count = len(dialogue.replies_before_sentinel(chat))
    measured(count, 1, unit="replies", samples=2, ok=count == 1, detail="one message was sent twice")


def test_duplicate_under_the_hidden_chat_id_is_not_answered_again(
    measured: Measured, dialogue: Dialogue, conversations: Conversations
) -> None:
    """The same message under the chat's `@lid` form, which hides the number, has one reply in both."""
    chat, hidden = conversations.open(), conversations.open("lid")
    event = chat.message("say this once")
    hidden_id = f"false_{hidden.id}_{bare_id(message_id(event))}"
    dialogue.send(event)
    dialogue.send(_new_event(event, payload={**event["payload"], "id": hidden_id, "from": hidden.id}))
    count = sum(len(dialogue.replies_before_sentinel(each)) for each in (chat, hidden))
    measured(count, 1, unit="replies", samples=2, ok=count == 1, detail="one message came under two chat ids")


def test_session_status_is_accepted_and_unanswered(
    measured: Measured, dialogue: Dialogue, conversations: Conversations
) -> None:
    """`session.status` is accepted and gets no reply, even if it looks like a message in all but its name."""
    chat = conversations.open()
    dressed = conversations.forbid_answer(chat.message("not a message", event="session.status"))
    dialogue.send(_new_event(dressed, payload={"name": "default", "status": "WORKING"}))
    dialogue.send(dressed)
    count = len(dialogue.replies_before_sentinel(chat))
    measured(
        count, 0, unit="replies", samples=2, ok=count == 0, detail="an event asking for none was answered"
    )


def test_own_message_is_accepted_and_unanswered(
    measured: Measured, dialogue: Dialogue, conversations: Conversations
) -> None:
    """What the assistant itself sent comes back as `message.any` and gets no reply: it would never end."""
    own, chat = conversations.open(), conversations.open()
    event = chat.message("sent by the assistant", event="message.any")
    event["me"]["id"] = own.id
    own_id = message_id(event).replace("false_", "true_", 1)
    event["payload"].update({"id": own_id, "fromMe": True, "from": own.id, "to": chat.id})
    dialogue.send(conversations.forbid_answer(event))
    count = sum(len(dialogue.replies_before_sentinel(each)) for each in (chat, own))
    measured(count, 0, unit="replies", samples=1, ok=count == 0, detail="the assistant answered itself")
