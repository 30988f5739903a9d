"""The live release as the candidate's measure: a frontend of its own, for the length of a gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.webhook_secret import NAME
from infra.containers import read_secret
from infra.haproxy_config import Backend, route_config
from infra.proxy_control import ProxyControl


@contextmanager
def baseline(proxy: ProxyControl, live: Backend | None, url: str) -> Iterator[str | None]:
    """Open the loopback frontend at *url* to the gate lane of the *live* release; None if none is live."""
    if live is None:
        yield None
        return
    proxy.put_route("baseline", route_config("baseline", live))
    try:
        yield url
    finally:
        proxy.remove_route("baseline")


def baseline_secret(live: Backend) -> str | None:
    """The webhook secret that the *live* release takes, as its containers have it; None if they are gone.

    After `secrets set`, or a rotation, it does not know the candidate's.
    """
    return read_secret(live.servers, NAME)
