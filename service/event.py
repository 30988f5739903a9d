"""What a WAHA webhook says: whether it is a message to answer, and which message it is.

Only the parts that the service uses are looked at; all else is the engine's own and may be anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

import orjson

from service.webhooks.rejected import Malformed

MESSAGE_EVENTS = frozenset({"message", "message.any"})
"""WAHA sends both for one message."""

# {fromMe}_{chatId}_{msgId}[_{participant}]
_PAYLOAD_ID = re.compile(
    r"(?P<from_me>true|false)_(?P<chat>[!-^`-~]{1,128})_(?P<bare>[!-^`-~]{1,128})(?:_[!-~]{1,128})?"
)
_CHAT_ID = re.compile(r"[!-~]{1,128}")
_SESSION = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_LATEST = 1 << 53  # beyond it, JavaScript's numbers are not exact and no time is meant


class Unwanted(StrEnum):
    """Why an event needs no answer."""

    NOT_A_MESSAGE = "not a message"
    FROM_ME = "sent by the assistant itself"
    STATUS = "status broadcast"
    NEWSLETTER = "newsletter"


@dataclass(slots=True)
class Message:
    """One message, as its event tells it.

    `payload_id` is the whole id that a reply refers to, `bare_id` the part of it that all forms of the
    message share; `quoted_id` is the bare id of the message that this one answers. `event_ms` is the time of
    the event and `sent_ms` that of the message, both in ms since the epoch, where they are told.
    """

    session: str
    payload_id: str
    bare_id: str
    chat_id: str
    from_me: bool
    text: str
    tenant: str
    quoted_id: str | None
    event_ms: int | None
    sent_ms: int | None

    @property
    def identity(self) -> str:
        """The same for every event of this message, whichever form (@lid, @c.us) its chat's id has."""
        # A session has no control characters, so that no two messages share these parts.
        parts = f"{self.session}\0{self.from_me}\0{self.bare_id}"
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    @property
    def unwanted(self) -> Unwanted | None:
        """Why this message must not be answered, or None."""
        if self.from_me:
            return Unwanted.FROM_ME
        if self.chat_id == "status@broadcast":
            return Unwanted.STATUS
        return Unwanted.NEWSLETTER if self.chat_id.endswith("@newsletter") else None


def parse_event(body: bytes) -> Message | None:
    """The message in *body*, wanted or not; None if the event is about something else.

    Raises:
        Malformed: *body* is not JSON in UTF-8, or a part that matters has a wrong shape.
    """
    event = _decode(body)
    name = event.get("event")
    if not isinstance(name, str):
        raise Malformed("event should be a text")
    if name not in MESSAGE_EVENTS:
        return None
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise Malformed("payload should be an object")
    return _message(event, payload)


def stored_message(fields: Mapping[bytes, bytes]) -> Message | None:
    """The message in a stream's entry; by hand or by another version anything could have been put there."""
    try:
        return parse_event(fields.get(b"event", b""))
    except Malformed:
        return None


def _decode(body: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(body)
    except ValueError:
        event = _decode_leniently(body)
    if not isinstance(event, dict):
        raise Malformed("the body should be a JSON object")
    return event


def _decode_leniently(body: bytes) -> Any:
    r"""What orjson refuses and JSON allows: lone surrogates, which UTF-8 cannot hold and become `?`.

    WhatsApp clients cut emoji in half, and JavaScript escapes the halves (`\ud83d`).
    """
    try:
        # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
        event = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        return json.loads(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not JSON in UTF-8") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _message(event: dict[str, Any], payload: dict[str, Any]) -> Message:
    session = _match(event, "session", _SESSION)[0]
    parts = _match(payload, "id", _PAYLOAD_ID)
    sent_by_id, chat, bare_id = parts.groups()
    from_me = payload.get("fromMe", False)
    if not isinstance(from_me, bool):
        raise Malformed("payload.fromMe should be true or false")
    sent_s = _number(payload, "timestamp")
    return Message(
        session=session,
        payload_id=parts[0],
        bare_id=bare_id,
        chat_id=_match(payload, "from", _CHAT_ID)[0] if "from" in payload else chat,
        from_me=from_me or sent_by_id == "true",
        text=_body(payload),
        tenant=_tenant(event, session),
        quoted_id=_quoted_id(payload),
        event_ms=_number(event, "timestamp"),
        sent_ms=None if sent_s is None else sent_s * 1000,
    )


def _match(fields: dict[str, Any], name: str, pattern: re.Pattern[str]) -> re.Match[str]:
    value = fields.get(name)
    found = pattern.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Malformed(f"{name} should be a text of the form that WAHA sends")
    return found


def _number(fields: dict[str, Any], name: str) -> int | None:
    """A point in time; None where an old version of WAHA tells none. Fractions are cut off."""
    value = fields.get(name)
    if value is None or (type(value) is int and 0 <= value < _LATEST):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise Malformed(f"{name} should be a point in time")
    return int(value)


def _tenant(event: dict[str, Any], session: str) -> str:
    """Whose message it is: `metadata.tenant` as configured in WAHA, else the session itself."""
    metadata = event.get("metadata")
    if not metadata:
        return session
    tenant = metadata.get("tenant") if isinstance(metadata, dict) else None
    return tenant if isinstance(tenant, str) and _SESSION.fullmatch(tenant) else session


def _quoted_id(payload: dict[str, Any]) -> str | None:
    reply_to = payload.get("replyTo")
    if not reply_to:
        return None
    quoted = reply_to.get("id") if isinstance(reply_to, dict) else None
    if not isinstance(quoted, str):
        return None
    whole = _PAYLOAD_ID.fullmatch(quoted)  # some engines give the whole id, others the bare one
    return whole["bare"] if whole else quoted


def _body(payload: dict[str, Any]) -> str:
    """The message's text; media come with none."""
    text = payload.get("body")
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Malformed("payload.body should be a text")
    return text
