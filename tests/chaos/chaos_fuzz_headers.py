"""Generated request lines and headers: signatures right and wrong, names, values clean and dirty."""

from __future__ import annotations

from chaos_fuzz_bodies import CANARY
from chaos_sender import SECRET
from hypothesis import strategies as st

from contracts.webhook import WEBHOOK_PATH, signed_headers

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


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A request line; nearly always the webhook's."""
    if draw(st.integers(0, 15)):
        return f"POST {WEBHOOK_PATH} HTTP/1.1"
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"]))
    # An answer to HEAD has a length and no body, which our reader does not know.
    return f"{'GET' if method == 'HEAD' else method} {draw(TARGETS)} HTTP/1.1"
