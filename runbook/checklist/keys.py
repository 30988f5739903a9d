"""What keys look like: of which service, live or for tests, and how they are shown without being told."""

from __future__ import annotations

import base64
import re

from sentry_sdk.utils import BadDsn, Dsn

from runbook.checklist.line import Failed

SHORTEST_SECRET = 32
_FEWEST_SIGNS = 8
_SHORTEST_TOKEN = 16
_PREFIX = re.compile(r"(?:[ps]k_(?:live|test)_|signkey-[a-z]{1,12}-|re_|whsec_)")
_PLACEHOLDER = re.compile(
    r"change[-_ ]?me|replace[-_ ]?me|place[-_ ]?holder"
    r"|(?:^|[^a-z0-9])your[-_ ]|^x{3,}$|[^a-z0-9]x{4,}$"  # what is made at random has xxx, too
    r"|^(?:todo|tbd|none|null|undefined|secret|password|test|foo|bar)$|<[^>]*>|\.\.\.|…|\$\{",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


def mask(secret: str) -> str:
    """A secret as it may be shown: the prefix that its service gives all, and its length."""
    prefix = _PREFIX.match(secret)
    return f"{prefix[0] if prefix else ''}…({len(secret)} characters)"


def is_placeholder(value: str) -> bool:
    """Whether *value* is what examples have where the value belongs: `changeme`, `your-key`, `re_xxx`."""
    return bool(_PLACEHOLDER.search(value))


def token(value: str) -> str:
    """A key of no known form; what it is shown as.

    Raises:
        Failed: it cannot travel in a header, or is too short to be one.
    """
    if not re.fullmatch(r"[!-~]+", value):
        raise Failed(f"has blanks or signs that no key has: {mask(value)}")
    if len(value) < _SHORTEST_TOKEN:
        raise Failed(f"is too short for a key: {mask(value)}")
    return mask(value)


def webhook_secret(value: str) -> str:
    """The secret that webhooks are signed with: whoever guesses it writes messages in anybody's name."""
    if len(value) < SHORTEST_SECRET:
        raise Failed(f"should have {SHORTEST_SECRET} characters or more: {mask(value)}")
    if len(set(value)) < _FEWEST_SIGNS:
        raise Failed(f"is the same few characters over and over: {mask(value)}")
    return mask(value)


def clerk_secret(value: str) -> tuple[str, str]:
    """How it is shown, and whether it is `live` or `test`."""
    return _clerk(value, "sk", r"[A-Za-z0-9]{20,}")


def clerk_publishable(value: str) -> tuple[str, str]:
    """How it is shown, and whether it is `live` or `test`."""
    shown, kind = _clerk(value, "pk", r"[A-Za-z0-9+/_-]+=*")
    return f"{shown} for {frontend_api(value)}", kind


def _clerk(value: str, prefix: str, rest: str) -> tuple[str, str]:
    found = re.fullmatch(rf"{prefix}_(live|test)_{rest}", value)
    if not found:
        raise Failed(
            f"should begin with {prefix}_live_ or {prefix}_test_ and go on as such a key: {mask(value)}"
        )
    return mask(value), found[1]


def frontend_api(publishable: str) -> str:
    """The host of the instance that a publishable key of Clerk's is for.

    Raises:
        Failed: it holds none.
    """
    encoded = publishable.split("_", 2)[-1]
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("ascii")
    except ValueError:
        decoded = ""
    host = decoded.removesuffix("$")
    if host == decoded or not _HOST.fullmatch(host):
        raise Failed(f"holds no host of an instance, so it was not copied whole: {mask(publishable)}")
    return host


def inngest_signing(value: str) -> tuple[str, str]:
    """How it is shown, and whether it is `live` or `test`: of the environment `prod`, or of another."""
    found = re.fullmatch(r"signkey-([a-z]{1,12})-[0-9a-f]{16,}", value)
    if not found:
        raise Failed(f"should look like signkey-prod-… with hexadecimal digits: {mask(value)}")
    return mask(value), "live" if found[1] == "prod" else "test"


def inngest_event(value: str) -> str:
    """An event key, which has no form of its own; yet it is not the signing key."""
    if value.startswith("signkey-"):
        raise Failed(f"is a signing key: {mask(value)}; the event key is another one")
    return token(value)


def resend(value: str) -> str:
    """A key of Resend's, which has no separate ones for tests."""
    if not re.fullmatch(r"re_[A-Za-z0-9_]{16,}", value):
        raise Failed(f"should look like re_…: {mask(value)}")
    return mask(value)


def sentry_dsn(value: str) -> Dsn:
    """Where events go.

    Raises:
        Failed: it is no DSN.
    """
    try:
        return Dsn(value)
    except (BadDsn, ValueError):
        raise Failed(f"is no DSN like https://KEY@HOST/PROJECT: {mask(value)}") from None
