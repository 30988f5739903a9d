"""One message, one reply: a signed one is answered, and whatever comes again is not answered again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from contracts.webhook import Algorithm, new_ulid
from smoke.chat import Conversations, Event, bare_id, message_id
from smoke.dialogue import Dialogue
from smoke.evidence import Measured
from smoke.target import Target, Webhook, described

AT_ONCE = 8


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


def test_duplicates_at_once_are_not_answered_again(
    measured: Measured, dialogue: Dialogue, conversations: Conversations
) -> None:
    """The same message in several forms, all at the same time, is accepted each time and has one reply."""
    chat, target = conversations.open(), dialogue.target
    event = chat.message("say this once")
    forms = [event, *(make(event) for make in DUPLICATES.values())]
    refused = [answer for answer in _post_at_once(target, _signed(target, forms)) if not answer.is_success]
    detail = described(refused[0]) if refused else ""
    measured(len(refused), 0, unit="refused", samples=AT_ONCE, ok=not refused, detail=detail)
    count = len(dialogue.replies_before_sentinel(chat))
    measured(count, 1, unit="replies", samples=AT_ONCE, ok=count == 1, detail="one message came many times")


def _signed(target: Target, forms: Sequence[Event]) -> list[Webhook]:
    return [target.signed(forms[number % len(forms)]) for number in range(AT_ONCE)]


def _post_at_once(target: Target, webhooks: Sequence[Webhook]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(webhooks)) as pool:
        return list(pool.map(target.post, webhooks))
