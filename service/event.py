"""What a WAHA webhook says: whether it is a message to answer, and which message it is.

Only the parts that the service uses are looked at; all else is the engine's own and may be anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from service.rejected import Malformed

MESSAGE_EVENTS = frozenset({"message", "message.any"})
"""WAHA sends both for one message."""

# {fromMe}_{chatId}_{msgId}[_{participant}]
_PAYLOAD_ID = re.compile(
    r"(?P<from_me>true|false)_(?P<chat>[!-^`-~]{1,128})_(?P<bare>[!-^`-~]{1,128})(?:_[!-~]{1,128})?"
)
_CHAT_ID = re.compile(r"[!-~]{1,128}")
_SESSION = re.compile(r"[^\x00-\x1f\x7f]{1,128}")


class Unwanted(StrEnum):
    """Why an event needs no answer."""

    NOT_A_MESSAGE = "not a message"
    FROM_ME = "sent by the assistant itself"
    STATUS = "status broadcast"
    NEWSLETTER = "newsletter"


@dataclass(frozen=True)
class Message:
    """One incoming message. `payload_id` is the whole id that a reply refers to."""

    session: str
    payload_id: str
    bare_id: str
    chat_id: str
    from_me: bool
    text: str

    @property
    def identity(self) -> str:
        """The same for every event of this message, whichever form its chat's id has."""
        parts = json.dumps([self.session, self.from_me, self.bare_id])
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    @property
    def unwanted(self) -> Unwanted | None:
        """Why this message must not be answered, or None."""
        if self.from_me:
            return Unwanted.FROM_ME
        if self.chat_id == "status@broadcast":
            return Unwanted.STATUS
        return Unwanted.NEWSLETTER if self.chat_id.endswith("@newsletter") else None


def parse_event(body: bytes) -> Message | Unwanted:
    """The message in *body*, or why the event is none to answer.

    Raises:
        Malformed: *body* is not JSON in UTF-8, or a part that matters has a wrong shape.
    """
    event = _decode(body)
    name = event.get("event")
    if not isinstance(name, str):
        raise Malformed("event should be a text")
    if name not in MESSAGE_EVENTS:
        return Unwanted.NOT_A_MESSAGE
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise Malformed("payload should be an object")
    message = _message(_text(event, "session", _SESSION), payload)
    return message.unwanted or message


def _decode(body: bytes) -> dict[str, Any]:
    try:
        # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
        event = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not JSON in UTF-8") from error
    if not isinstance(event, dict):
        raise Malformed("the body should be a JSON object")
    return event


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _message(session: str, payload: dict[str, Any]) -> Message:
    payload_id = _text(payload, "id", _PAYLOAD_ID)
    parts = _PAYLOAD_ID.fullmatch(payload_id)
    assert parts is not None
    from_me = payload.get("fromMe", parts["from_me"] == "true")
    if not isinstance(from_me, bool):
        raise Malformed("payload.fromMe should be true or false")
    return Message(
        session=session,
        payload_id=payload_id,
        bare_id=parts["bare"],
        chat_id=_text(payload, "from", _CHAT_ID) if "from" in payload else parts["chat"],
        from_me=from_me or parts["from_me"] == "true",
        text=_body(payload),
    )


def _text(fields: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value) or not _is_utf8(value):
        raise Malformed(f"{name} should be a text of the form that WAHA sends")
    return value


def _body(payload: dict[str, Any]) -> str:
    """The message's text; media come with none."""
    text = payload.get("body")
    if text is None:
        return ""
    if not isinstance(text, str) or not _is_utf8(text):
        raise Malformed("payload.body should be a text")
    return text


def _is_utf8(value: str) -> bool:
    r"""Whether *value* has no lone surrogate, which JSON can escape (`\ud800`) and UTF-8 cannot hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
