"""Who sent a request, under which id it is logged, and which lane it asked for."""

from __future__ import annotations

import ipaddress
import re
import uuid

from starlette.types import Scope

from service.lanes import LaneName
from service.signature import header_values

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def request_id(scope: Scope) -> str:
    """WAHA's id of this send (the same on each retry), else the proxy's, else a new one; never an odd one."""
    for name in (b"x-webhook-request-id", b"x-request-id"):
        for value in header_values(scope["headers"], name):
            if _REQUEST_ID.fullmatch(value):
                return value.decode()
    return uuid.uuid4().hex


def client_address(scope: Scope, *, trust_proxy: bool) -> str:
    """The client's IP address: the peer's, or the one that our proxy says it saw."""
    if trust_proxy:
        forwarded = header_values(scope["headers"], b"x-forwarded-for")
        if forwarded:
            # The last one was added by the proxy nearest to us; whatever stands before came from outside.
            seen = forwarded[-1].rpartition(b",")[2].strip().decode("latin-1")
            try:
                return str(ipaddress.ip_address(seen))
            except ValueError:
                pass
    peer = scope.get("client")
    return str(peer[0]) if peer else "unknown"


def lane_name(scope: Scope) -> LaneName:
    """The gate's lane if the header that only the proxy's private frontend lets through is there."""
    return LaneName.GATE if header_values(scope["headers"], b"x-gate-lane") else LaneName.LIVE
