"""What addresses look like, and which are for a production stack."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from runbook.checklist.line import Failed

SANDBOX = "sandbox"
"""The sandbox's host on a stack's network."""

_RESERVED = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|net|org))?|test|invalid)")
_DEPLOYMENT = re.compile(r"(?P<kind>prod|dev|preview|local|anonymous):(?P<name>[A-Za-z0-9-]+)(?:\|.*)?")


def http_url(value: str, *, is_live: bool) -> str:
    """A service's address; how it is shown.

    Raises:
        Failed: it is none, or none for production.
    """
    parts = _parts(value)
    if parts.scheme not in ("http", "https"):
        raise Failed(f"should be an http(s) URL: {_shown(value)}")
    if parts.username is not None or parts.query or parts.fragment:
        raise Failed("should have no user, query or fragment")
    if is_live:
        _for_production(value, parts)
    return value


def is_sandbox(value: str) -> bool:
    """Whether an address is the sandbox's."""
    return _host_of(value) == SANDBOX


def is_loopback(value: str) -> bool:
    """Whether an address is this machine's own."""
    host = _host_of(value)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def redis_url(value: str) -> str:
    """Redis's address, without its password.

    Raises:
        Failed: it is none.
    """
    # Nothing of it is shown before it is known where in it the password is.
    if not value.startswith(("redis://", "rediss://")):
        raise Failed("should be a URL like rediss://:PASSWORD@HOST:PORT")
    parts = _parts(value)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}"


def upstash_url(value: str, *, is_live: bool) -> str:
    """The REST address of an Upstash database, not that of its Redis protocol."""
    if value.startswith(("redis://", "rediss://")):
        raise Failed("is the address of the Redis protocol: the REST one begins with https://")
    return http_url(value, is_live=is_live)


def convex_url(value: str, *, is_live: bool) -> str:
    """Convex's API, which is not where its HTTP actions are."""
    if _host_of(value).endswith(".convex.site"):
        raise Failed(f"is the address of HTTP actions: {value}; the API's ends in .convex.cloud")
    return http_url(value, is_live=is_live)


def convex_deployment(value: str, url: str | None) -> tuple[str, str]:
    """How it is shown, and whether it is `live` or `test`; its name should be that in *url*.

    Raises:
        Failed: it is none, or *url* is another deployment's.
    """
    found = _DEPLOYMENT.fullmatch(value)
    if not found:
        raise Failed(f"should look like prod:happy-animal-123: {value.partition('|')[0][:60]!r}")
    shown, host = f"{found['kind']}:{found['name']}", _host_of(url or "")
    # Custom domains and self-hosted ones do not tell; regions stand between: NAME.eu-west-1.convex.cloud.
    if host.endswith(".convex.cloud") and host.partition(".")[0] != found["name"]:
        raise Failed(f"is {shown}, but NEXT_PUBLIC_CONVEX_URL is {url}: two deployments")
    return shown, "live" if found["kind"] == "prod" else "test"


def _parts(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # without its message: that quotes what may be a password
        is_whole = False
    if not is_whole or re.search(r"[\s\x00-\x1f]", value):
        raise Failed(f"is no URL: {_shown(value)}")
    return parts


def _for_production(value: str, parts: SplitResult) -> None:
    host = parts.hostname or ""
    if is_loopback(value) or host == "0.0.0.0":  # noqa: S104 - what an operator may have written
        raise Failed(f"is this machine's own address, which no container reaches: {value}")
    if _RESERVED.fullmatch(host):
        raise Failed(f"is an example's address: {value}")
    if parts.scheme != "https":
        raise Failed(f"should be https in production: {value}")


def _shown(value: str) -> str:
    """The value, unless it may hold a password."""
    return (
        "(not shown, since it may hold a password)" if "@" in value or "redis" in value else repr(value[:80])
    )


def _host_of(value: str) -> str:
    try:
        return urlsplit(value).hostname or ""
    except ValueError:
        return ""
