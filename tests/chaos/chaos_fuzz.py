"""Generated requests: WAHA's events and their surroundings, mutated in every layer from JSON down to TCP.

The interesting half is signed as it stands, so that it gets past the signature to what lies behind.
"""

from __future__ import annotations

import copy
import itertools
import json
import secrets
from dataclasses import dataclass
from typing import Any

from chaos_sender import SECRET
from chaos_wire import head
from hypothesis import strategies as st

from contracts.webhook import WEBHOOK_PATH, message_event, signed_headers

CANARY = "tulip~canary"
"""In texts and headers; must never be in a log. With its tilde it is no request id: those are logged."""

NUMBER = "4917655501234"
"""In chat ids; must never be in a log."""

MAX_BODY = 65_536
"""MAX_BODY_BYTES of the web process that is fuzzed."""

EDGE_SIZES = [MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, 4 * MAX_BODY, 4 * MAX_BODY + 1, 6 * MAX_BODY]


SHOWN = 1500


@dataclass(frozen=True)
class Fuzzed:
    """A request in the *pieces* in which it is sent. `whole`: it is framed well, so it must be answered."""

    pieces: tuple[bytes, ...]
    whole: bool
    signature: str = ""

    def __repr__(self) -> str:
        """Enough to see what it is."""
        shown = [piece if len(piece) <= SHOWN else piece[:SHOWN] + b"..." for piece in self.pieces]
        return f"Fuzzed({shown}, whole={self.whole})"


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


@st.composite
def signatures(draw: st.DrawFn, body: bytes) -> list[tuple[str, str]]:
    """WAHA's headers, right three times of four."""
    form = draw(st.integers(0, 31))
    if form == 0:
        return []
    headers = signed_headers(body, SECRET, draw(st.sampled_from(["sha512", "sha512", "sha256"])))
    wrong = {
        1: lambda digest: digest.upper(),
        2: lambda digest: digest[:-1],
        3: lambda digest: digest + "\xe9",
        4: lambda digest: "0" * len(digest),
        5: lambda digest: "",
        6: lambda digest: digest + ", " + digest,
        7: lambda digest: CANARY,
    }
    if form in wrong:
        headers["X-Webhook-Hmac"] = wrong[form](headers["X-Webhook-Hmac"])
    if form == 8:
        headers["X-Webhook-Hmac-Algorithm"] = draw(st.sampled_from(["md5", "SHA512", "", CANARY]))
    twice = [("X-Webhook-Hmac", headers["X-Webhook-Hmac"])] if form == 9 else []
    return [*headers.items(), *twice]


NAMES = st.sampled_from(
    [
        "User-Agent",
        "Content-Type",
        "Content-Encoding",
        "Accept",
        "Cookie",
        "Authorization",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-For",
        "X-Request-Id",
        "X-Webhook-Timestamp",
        "X-Gate-Lane",
        "X-HTTP-Method-Override",
        "Range",
        "If-None-Match",
        "Origin",
        "Upgrade",
        "Connection",
        "Via",
    ]
)
CLEAN = st.sampled_from(
    [
        "",
        CANARY,
        "gzip",
        "close",
        "keep-alive",
        "websocket",
        "h2c",
        "192.0.2.1",
        f"192.0.2.1, {CANARY}",
        "2001:db8::1, 10.0.0.1",
        "::ffff:192.0.2.1%eth0",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "\xff\xfe" + CANARY,
        "%0d%0aX-Injected: 1",
        "${jndi:ldap://x}",
        '"}{"level":"error"}',
        "a" * 4000,
    ]
) | st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
DIRTY = st.sampled_from(
    [
        f"{CANARY}\r\nX-Injected: 1",
        f"{CANARY}\nX-Injected: 1",
        f"a\rb{CANARY}",
        f"a\x00{CANARY}",
        "\x01",
        f"a\r\n\r\nGET /{CANARY} HTTP/1.1\r\n\r\n",
        f"x\r\n {CANARY}",
        "x" * 100_000,
    ]
)
TARGETS = st.sampled_from(
    [
        "/",
        "//",
        "*",
        f"/{CANARY}",
        f"/api/health?{CANARY}=1",
        "/api/gate/replies?after=\xff",
        "/api/gate/replies?limit=99999999999999999999",
        "/api/health/live",
        "/api/health/../health/live",
        "/api/inngest",
        "/metrics",
        "/%00%ff%0a",
        f"http://{CANARY}{WEBHOOK_PATH}",
        WEBHOOK_PATH + "/",
        WEBHOOK_PATH + f"?{CANARY}",
        WEBHOOK_PATH.upper(),
        "/" + "a" * 9000,
    ]
)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A request line; nearly always the webhook's."""
    if draw(st.integers(0, 15)):
        return f"POST {WEBHOOK_PATH} HTTP/1.1"
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"]))
    # An answer to HEAD has a length and no body, which our reader does not know.
    return f"{'GET' if method == 'HEAD' else method} {draw(TARGETS)} HTTP/1.1"


@st.composite
def requests(draw: st.DrawFn) -> Fuzzed:
    """One request, well framed nine times of ten."""
    body = draw(bodies())
    signature = draw(signatures(body))
    fields = [("Host", draw(st.sampled_from(["chaos", "", CANARY]))), *signature]
    fields += draw(st.lists(st.tuples(NAMES, CLEAN), max_size=3))
    line, digest = draw(lines()), dict(signature).get("X-Webhook-Hmac", "")
    if draw(st.integers(0, 9)) == 0:
        return Fuzzed(draw(_broken(line, fields, body)), whole=False, signature=digest)
    framing, framed = draw(_framings(body))
    return Fuzzed(draw(_split(head(line, [*fields, framing]) + framed)), whole=True, signature=digest)


@st.composite
def _framings(draw: st.DrawFn, body: bytes) -> tuple[tuple[str, str], bytes]:
    """The header that says how long the body is, and the body as it is sent."""
    if draw(st.integers(0, 4)):
        return ("Content-Length", str(len(body))), body
    size = draw(st.integers(1, 3) | st.integers(100, 5000)) if len(body) < 5000 else 5000
    extension = draw(st.sampled_from([b"", b";a=b", b";" + CANARY.encode()]))
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    sent = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    trailer = draw(st.sampled_from([b"", b"X-Trailer: " + CANARY.encode() + b"\r\n"]))
    return ("Transfer-Encoding", "chunked"), sent + b"0\r\n" + trailer + b"\r\n"


@st.composite
def _split(draw: st.DrawFn, data: bytes) -> tuple[bytes, ...]:
    """In one piece, or cut at up to three places."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3))) if draw(st.booleans()) else []
    edges = [0, *cuts, len(data)]
    return tuple(data[start:end] for start, end in itertools.pairwise(edges) if start < end)


_LENGTHS = st.sampled_from(["-1", "x", "1,2", "+5", "9" * 30, "0x10", ""])
_SIZES = st.sampled_from([b"zz", b"-1", b"f" * 20, b"5;\n", b" 5", b"", b"5\n"])
_CODINGS = st.sampled_from(["chunked", "xchunked", "gzip, chunked"])
_FIRST = st.sampled_from(["GET", f"POST {WEBHOOK_PATH}", "POST / HTTP/9.9", "\x16\x03\x01", CANARY])
_ODD_NAMES = st.sampled_from(["X Y", "", "X-Webhook-Request-Id", "X-Webhook-Hmac", "X:", "\x00"])
_MANY = [(f"X-{number}", CANARY) for number in range(2000)]


@st.composite
def _broken(draw: st.DrawFn, line: str, fields: list[tuple[str, str]], body: bytes) -> tuple[bytes, ...]:
    """Not HTTP, or not all of it."""
    length = ("Content-Length", str(len(body)))
    whole = head(line, [*fields, length]) + body
    form = draw(st.integers(0, 7))
    if form == 0:
        return (whole[: draw(st.integers(1, len(whole) - 1))],)
    if form == 1:
        at = draw(st.integers(0, min(len(whole), 400)))
        return (whole[:at] + draw(st.binary(min_size=1, max_size=4)) + whole[at:],)
    if form == 2:
        wrong = draw(_LENGTHS | st.just(str(len(body) + 9)))
        return (head(line, [*fields, ("Content-Length", wrong)]) + body,)
    if form == 3:
        return (head(line, [*fields, length, ("Transfer-Encoding", draw(_CODINGS))]) + body,)
    if form == 4:
        return (head(line, [*fields, ("Transfer-Encoding", "chunked")]) + draw(_SIZES) + b"\r\n" + body,)
    if form == 5:
        return (head(line, [*fields, (draw(NAMES | _ODD_NAMES), draw(DIRTY)), length]) + body,)
    if form == 6:
        return (head(draw(_FIRST), [*fields, length]) + body,)
    return (head(line, [*fields, *_MANY, length]) + body,)
