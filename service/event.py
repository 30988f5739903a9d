"""What a WAHA webhook says: whether it is a message to answer, and which message it is.

Only the parts that the service uses are looked at; all else is the engine's own and may be anything. WAHA's
engines disagree about most fields: only one without which there is nothing to answer refuses an event.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NoReturn, TypeVar

import msgspec

from service.webhooks.rejected import Malformed

MESSAGE_EVENTS = frozenset({"message", "message.any"})
"""WAHA sends both for one message."""

# {fromMe}_{chatId}_{msgId}[_{participant}]
_PAYLOAD_ID = re.compile(
    r"(?P<from_me>true|false)_(?P<chat>[!-^`-~]{1,128})_(?P<bare>[!-^`-~]{1,128})"
    r"(?:_(?P<participant>[!-~]{1,128}))?"
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
    EMPTY = "nobody wrote anything"
    """A missed call, a deletion, a notice; or a message whose text comes later, under the same id."""


class Message(msgspec.Struct):
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
    is_empty: bool = False
    """Whether it has neither text nor anything else that somebody sent."""

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
        if self.chat_id.endswith("@newsletter"):
            return Unwanted.NEWSLETTER
        return Unwanted.EMPTY if self.is_empty else None


class _Named(msgspec.Struct):
    """What is looked at of every event."""

    event: str


class _OfSession(msgspec.Struct):
    """The part of every event that says which session it is of; it may be of any shape."""

    session: object = None


class _Payload(msgspec.Struct, rename="camel"):
    """What is looked at of a message. What is an `object` may be missing, null, or of any shape.

    `data`: the engine's own, as sent; it is the most of an event, and hardly ever looked at.
    """

    id: str
    from_: object = msgspec.field(default=None, name="from")
    from_me: object = None
    participant: object = None
    source: object = None
    timestamp: object = None
    body: str | None = None
    has_media: object = None
    location: object = None
    v_cards: object = None
    reply_to: object = None
    data: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="_data")


class _OwnData(msgspec.Struct):
    """What is looked at of the engine's own."""

    type: object = None


class _MessageEvent(_Named):
    """The same of a message's event. `me`: the session's account. `metadata`: as configured in WAHA."""

    session: str
    payload: _Payload
    me: object = None
    metadata: object = None
    timestamp: object = None


_NAMED = msgspec.json.Decoder(_Named)
_OF_SESSION = msgspec.json.Decoder(_OfSession)
_MESSAGE_EVENT = msgspec.json.Decoder(_MessageEvent)

_OWN_DATA = msgspec.json.Decoder(_OwnData)

_GOODS = ("order", "product")
"""Types of messages in which WEBJS tells of what was sent in its own data alone."""

T = TypeVar("T")

_NOT_JSON = (msgspec.DecodeError, ValueError, RecursionError)


def parse_event(body: bytes) -> Message | None:
    """The message in *body*, wanted or not; None if the event is about something else.

    Raises:
        Malformed: *body* is not JSON in UTF-8, or a part that matters has a wrong shape.
    """
    return _read(_parse, body)


def session_of(body: bytes) -> str | None:
    """The session that an event of any kind is of; None where *body* names none."""
    try:
        session = _read(_OF_SESSION.decode, body).session
    except Malformed:
        return None
    return session if isinstance(session, str) and _SESSION.fullmatch(session) else None


def stored_message(fields: Mapping[bytes, bytes]) -> Message | None:
    """The message in a stream's entry; by hand or by another version anything could have been put there."""
    try:
        return parse_event(fields.get(b"event", b""))
    except Malformed:
        return None


def _read(decode: Callable[[bytes], T], body: bytes) -> T:
    """What *decode* makes of *body*; raises `Malformed` where that is no JSON in UTF-8."""
    try:
        return decode(body)
    except _NOT_JSON:
        pass  # or JSON that msgspec refuses
    try:
        return decode(_without_lone_surrogates(body))
    except _NOT_JSON as error:
        raise Malformed("the body is not JSON in UTF-8") from error


def _parse(body: bytes) -> Message | None:
    if not body.isascii():
        body.decode()  # msgspec does not look at the bytes of what it passes over
    try:
        event = _MESSAGE_EVENT.decode(body)
    except msgspec.ValidationError as error:
        if _is_another_event(body):
            return None
        raise Malformed(str(error)) from error  # says what should stand where, and nothing of what does
    return _message(event) if event.event in MESSAGE_EVENTS else None


def _is_another_event(body: bytes) -> bool:
    """Whether it says to be something else than a message; then it may have any shape."""
    try:
        return _NAMED.decode(body).event not in MESSAGE_EVENTS
    except msgspec.ValidationError:
        return False


def _without_lone_surrogates(body: bytes) -> bytes:
    r"""JSON has them, UTF-8 cannot: they become `?`.

    WhatsApp clients cut emoji in half, and JavaScript escapes the halves (`\ud83d`).
    """
    # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
    event = json.loads(body.decode(), parse_constant=_refuse_constant)
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _message(event: _MessageEvent) -> Message:
    session, payload = event.session, event.payload
    _matched("session", session, _SESSION)
    sent_by_id, chat, bare_id, participant = _matched("payload.id", payload.id, _PAYLOAD_ID).groups()
    chat = _chat_id(payload.from_) or chat
    sender = _chat_id(payload.participant) or participant or chat
    text = payload.body or ""
    # WAHA tells so only of what was sent through its API, perhaps by us.
    from_api = payload.source == "api"
    return Message(
        session=session,
        payload_id=payload.id,
        bare_id=bare_id,
        chat_id=chat,
        from_me=payload.from_me is True or sent_by_id == "true" or from_api or _is_ours(sender, event.me),
        text=text,
        tenant=_tenant(event.metadata) or session,
        quoted_id=_quoted_id(payload.reply_to),
        event_ms=_time(event.timestamp),
        sent_ms=None if (sent_s := _time(payload.timestamp)) is None else sent_s * 1000,
        is_empty=not (
            text.strip()
            or payload.has_media
            or payload.location
            or payload.v_cards
            or _is_of_goods(payload.data)
        ),
    )


def _is_of_goods(data: msgspec.Raw) -> bool:
    """Whether somebody ordered, or asks about a product, by the engine's own *data*."""
    try:
        return _OWN_DATA.decode(data).type in _GOODS
    except _NOT_JSON:  # it may be missing, or of any shape
        return False


def _matched(name: str, value: str, pattern: re.Pattern[str]) -> re.Match[str]:
    found = pattern.fullmatch(value)
    if found is None:
        raise Malformed(f"{name} should have the form that WAHA gives it")
    return found


def _chat_id(value: object) -> str | None:
    """*value*, if it is somebody's id; some engines give null where they do not know it."""
    return value if isinstance(value, str) and _CHAT_ID.fullmatch(value) else None


def _is_ours(sender: str, me: object) -> bool:
    """Whether *sender* is the session's account: some engines tell of our lines as if others wrote them."""
    ours = (me.get("id"), me.get("lid")) if isinstance(me, dict) else ()
    return any(isinstance(own, str) and _account(own) == _account(sender) for own in ours)


def _account(chat_id: str) -> tuple[str, bool]:
    """Whose id that is, whichever device (`:12`) and server it names; hidden ids (@lid) are others."""
    user, _, server = chat_id.partition("@")
    return user.partition(":")[0], server == "lid"


def _time(value: object) -> int | None:
    """*value*, if it is a time; old versions of WAHA tell none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < _LATEST else None


def _tenant(metadata: object) -> str | None:
    """Whose message it is, if `metadata.tenant` tells."""
    tenant = metadata.get("tenant") if isinstance(metadata, dict) else None
    return tenant if isinstance(tenant, str) and _SESSION.fullmatch(tenant) else None


def _quoted_id(reply_to: object) -> str | None:
    quoted = reply_to.get("id") if isinstance(reply_to, dict) else None
    if not isinstance(quoted, str):
        return None
    whole = _PAYLOAD_ID.fullmatch(quoted)  # some engines give the whole id, others the bare one
    return whole["bare"] if whole else quoted
