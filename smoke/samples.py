"""One event of each kind that WAHA sends: those that ask for an answer, and those that ask for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smoke.chat import Chat, Conversations, Event, bare_id, message_id
from smoke.dialogue import Script
from smoke.target import status_event

LONG_CHARACTERS = 60_000
"""A text in WhatsApp can have a few thousand more; with its envelope the body is as long as one can be."""

Builder = Callable[[Conversations], Script]


def _message(text: str, *, domain: str = "c.us", **payload: Any) -> Builder:
    """A message in a fresh chat."""

    def build(conversations: Conversations) -> Script:
        chat = conversations.open(domain)
        return Script(chat.message(text, payload=payload), [chat])

    return build


def _in_a_group(conversations: Conversations) -> Script:
    group, author = conversations.open("g.us"), conversations.open()
    return Script(_by(author, group.message("hello, all of you")), [group])


def _by(author: Chat, event: Event) -> Event:
    """The same message, where many write into one chat and its id names who did."""
    named = {"id": f"{message_id(event)}_{author.id}", "participant": author.id}
    return {**event, "payload": {**event["payload"], **named}}


_PICTURE = {"url": "http://waha/api/files/A1.jpg", "mimetype": "image/jpeg", "filename": None, "error": None}
_QUOTED = {"id": "3EB0A1B2C3D4E5F60718", "participant": "15550000000@c.us", "body": "What I said before"}

ANSWERABLE: Mapping[str, Builder] = {
    "text": _message("hello"),
    "media": _message("look at this", hasMedia=True, media=_PICTURE),
    # A file that WAHA could not or need not fetch.
    "media that is null": _message("", hasMedia=True, media=None),
    "group": _in_a_group,
    "quoting a message": _message("and now?", replyTo=_QUOTED),
    "hidden number": _message("hello from nowhere", domain="lid"),
    "emoji": _message("\N{WAVING HAND SIGN}\U0001f3fd \U0001f469\u200d\U0001f680 \U0001f1fa\U0001f1e6"),
    "right to left": _message("\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u200f(1)"),
    "combining": _message("e\u0301 a\u0323\u0308 Z\u0351\u036b\u0343 \u0e19\u0e49\u0e33"),
    "60 KB": _message("0123456789 " * (LONG_CHARACTERS // 11)),
}
"""By kind, messages that must each be answered once."""


def _dressed(event_name: str, **payload: Any) -> Builder:
    """An event that looks like a message in all but its name."""

    def build(conversations: Conversations) -> Script:
        chat = conversations.open()
        event = chat.message("not a message", event=event_name, payload=payload)
        return Script(conversations.forbid_answer(event), [chat])

    return build


def _session_status(conversations: Conversations) -> Script:
    """As WAHA sends it: without a chat."""
    return Script(status_event(), [conversations.open()])


def _own_message(conversations: Conversations) -> Script:
    """What the assistant sent itself comes back as `message.any`: answering that would never end."""
    own, chat = conversations.open(), conversations.open()
    event = chat.message("sent by the assistant", event="message.any")
    event["me"]["id"] = own.id
    own_id = message_id(event).replace("false_", "true_", 1)
    event["payload"].update({"id": own_id, "fromMe": True, "from": own.id, "to": chat.id})
    return Script(conversations.forbid_answer(event), [chat, own])


def _newsletter(conversations: Conversations) -> Script:
    letter, reader = conversations.open("newsletter"), conversations.open()
    return Script(conversations.forbid_answer(letter.message("news")), [reader], also=[letter])


def _status_broadcast(conversations: Conversations) -> Script:
    statuses, author = conversations.join("status@broadcast"), conversations.open()
    event = _by(author, statuses.message("my new status"))
    return Script(conversations.forbid_answer(event), [author], also=[statuses])


def _reaction(conversations: Conversations) -> Script:
    """To a message that the assistant sent."""
    chat = conversations.open()
    bare = bare_id(message_id(chat.message("")))
    reaction = {"text": "\N{THUMBS UP SIGN}", "messageId": f"true_{chat.id}_{bare}"}
    event = chat.message("", event="message.reaction", payload={"reaction": reaction})
    return Script(conversations.forbid_answer(event), [chat])


UNANSWERABLE: Mapping[str, Builder] = {
    "session.status": _session_status,
    "session.status like a message": _dressed("session.status"),
    "own message": _own_message,
    "message.ack": _dressed("message.ack", ack=3, ackName="READ"),
    "message.reaction": _reaction,
    "message.edited": _dressed("message.edited"),
    "message.revoked": _dressed("message.revoked"),
    "newsletter": _newsletter,
    "status@broadcast": _status_broadcast,
}
"""By kind, events that must be accepted, since WAHA would only send them again, and never be answered."""
