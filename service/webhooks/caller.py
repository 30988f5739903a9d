"""Who sent a request, under which id it is logged, and which lane it asked for."""

from __future__ import annotations

import ipaddress
import re
import uuid
from functools import lru_cache

from service.lanes import LaneName
from service.webhooks.signature import Headers

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(headers: Headers) -> str:
    """WAHA's id of this send (the same on each retry), else the proxy's, else a new one; never an odd one."""
    for name in (b"x-webhook-request-id", b"x-request-id"):
        value = headers.get(name)
        if value and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


def client_address(headers: Headers, peer: str, *, trust_proxy: bool) -> str:
    """The client's IP address: that of the *peer*, or the one that our proxy says it saw."""
    if trust_proxy:
        forwarded = headers.get(b"x-forwarded-for")
        if forwarded:
            return _address_in(forwarded) or peer
    return peer


@lru_cache(maxsize=1024)
def _address_in(forwarded: bytes) -> str | None:
    # The last one was added by the proxy nearest to us; whatever stands before came from outside.
    try:
        return str(ipaddress.ip_address(forwarded.rpartition(b",")[2].strip().decode("latin-1")))
    except ValueError:
        return None


def lane_name(headers: Headers) -> LaneName:
    """The gate's lane if the header that only the proxy's private frontend lets through is there."""
    return LaneName.GATE if b"x-gate-lane" in headers else LaneName.LIVE
