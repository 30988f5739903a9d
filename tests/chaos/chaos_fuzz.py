"""Generated requests: WAHA's webhooks, mutated in every layer from JSON down to TCP.

The interesting half is signed as it stands, so that it gets past the signature to what lies behind.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from chaos_fuzz_bodies import CANARY, bodies
from chaos_fuzz_headers import CLEAN, DIRTY, NAMES, lines, signatures
from chaos_wire import head
from hypothesis import strategies as st

from contracts.webhook import WEBHOOK_PATH

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
