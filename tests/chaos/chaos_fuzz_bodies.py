"""Generated bodies: WAHA's events mutated as JSON and as bytes, and what is no event at all."""

from __future__ import annotations

import copy
import json
import secrets
from typing import Any

from hypothesis import strategies as st

from contracts.webhook import message_event

CANARY = "tulip~canary"
"""In texts and headers; must never be in a log. With its tilde it is no request id: those are logged."""

NUMBER = "4917655501234"
"""In chat ids; must never be in a log."""

MAX_BODY = 65_536
"""MAX_BODY_BYTES of the web process that is fuzzed."""

EDGE_SIZES = [MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, 4 * MAX_BODY, 4 * MAX_BODY + 1, 6 * MAX_BODY]


ODD_TEXTS = st.sampled_from(
    [
        "",
        "\x00",
        f"{CANARY}\x00{CANARY}",
        "\ud800",
        "\udfff" + CANARY,
        f'{CANARY}\r\n{{"level":"error","msg":"forged"}}',
        f"{CANARY}\u2028\u2029\x85\x1b[2J",
        "\u202e" + CANARY,
        "x" * 5000,
        f"false_{NUMBER}@c.us_AB\nCD",
        f"true_{NUMBER}@c.us_ABCD",
        f"false_{NUMBER}@c.us_" + "A" * 300,
        "status@broadcast",
        f"{NUMBER}@newsletter",
        f"{NUMBER}@lid",
        f"{NUMBER}-123@g.us",
        "__proto__",
        "message.any",
        "session.status",
        "message.ack",
        "message.reaction",
    ]
)
ODD_NUMBERS = st.sampled_from([0, -1, 1.5, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400, 1e308, -0.0])
VALUES = st.one_of(
    ODD_TEXTS,
    ODD_NUMBERS,
    st.sampled_from([None, True, False, [], {}, [[[]]], {"a": {"b": {}}}]),
    st.text(max_size=20),
    st.integers(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
_PAYLOAD = "id timestamp from to fromMe participant body hasMedia media ack replyTo replyTo.id _data"
_ENVELOPE = "id timestamp event session metadata metadata.tenant me me.id payload engine environment extra"
PATHS = st.sampled_from(
    [tuple(name.split(".")) for name in _ENVELOPE.split()]
    + [("payload", *name.split(".")) for name in _PAYLOAD.split()]
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A message event in which up to four parts are replaced, added or left out."""
    bare_id = secrets.token_hex(8) if draw(st.integers(0, 9)) else "KNOWN"
    event = message_event(CANARY, chat_id=f"{NUMBER}@c.us", message_id=bare_id)
    for path in draw(st.lists(PATHS, max_size=4)) if draw(st.integers(0, 2)) else ():
        _change(event, path, draw(st.just(...) | VALUES))
    return json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def _change(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put *value* at *path*, or take away what is there for an ellipsis."""
    place: Any = event
    for name in path[:-1]:
        place = place.get(name) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        return
    if value is ...:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = copy.deepcopy(value)  # a drawn {} may itself be changed next


DEEP = 20_000
ODD_BODIES = st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b'""',
        b"NaN",
        b'{"event": NaN}',
        b'{"event":"message","event":"x"}',
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"event":"message","session":"s","payload":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"event":"message","payload":{"id":' + b"9" * 10_000 + b"}}",
        b'{"timestamp":1e999999,"event":"message"}',
        b'\xef\xbb\xbf{"event":"message"}',
        '{"event":"message"}'.encode("utf-16"),
        '{"event":"message"}'.encode("utf-32"),
        b'{"event":"\xff\xfe"}',
        b'{"event":"\xed\xa0\x80"}',
        b"\x1f\x8b\x08\x00garbage",
        b"a=1&b=2",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Mostly an event, mutated as JSON; sometimes damaged as bytes; sometimes something else."""
    form = draw(st.integers(0, 9))
    if form == 0:
        return draw(ODD_BODIES | st.binary(max_size=50))
    body = draw(events())
    if form == 1:
        cut = draw(st.integers(0, len(body)))
        return body[:cut] + draw(st.binary(max_size=3)) + body[cut + draw(st.integers(0, 3)) :]
    if form == 2:
        return body[: draw(st.integers(0, len(body)))]
    if form == 3 and draw(st.integers(0, 4)) == 0:
        return body.ljust(draw(st.sampled_from(EDGE_SIZES)))
    return body
