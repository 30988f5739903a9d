"""Which hosts ask: names of containers or machines, looked up when a request comes, for they move."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable

KNOWN_FOR_S = 1.0
"""A flood of requests costs one look-up a second for each name; a container's new address counts soon."""

LOOK_UP_S = 1.0
"""A name service that does not answer holds a request up no longer than this."""

LookUp = Callable[[str], Awaitable[Iterable[str]]]
"""The addresses of a name. Raises OSError if it has none."""


async def look_up(name: str) -> set[str]:
    """Ask this machine's resolver, which in a container knows the other containers of its network."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None)
    return {str(entry[4][0]) for entry in found}


class Hosts:
    """The addresses of names, each known for `KNOWN_FOR_S` after it was looked up."""

    def __init__(self, look_up: LookUp = look_up, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def include(self, names: Iterable[str], address: str) -> bool:
        """Whether *address* is one of any of the *names*; a name that cannot be resolved has none."""
        found = await asyncio.gather(*(self._addresses(name) for name in names))
        return plain(address) in frozenset().union(*found)

    async def _addresses(self, name: str) -> frozenset[str]:
        looked_up_at, addresses = self._known.get(name, (float("-inf"), frozenset[str]()))
        if self._clock() - looked_up_at < KNOWN_FOR_S:
            return addresses
        try:
            async with asyncio.timeout(LOOK_UP_S):
                addresses = frozenset(plain(found) for found in await self._look_up(name))
        except (OSError, ValueError):  # no such name, no answer in time, or nothing that could be a name
            addresses = frozenset()
        self._known[name] = self._clock(), addresses
        return addresses


def plain(address: str) -> str:
    """One spelling for each address: an IPv4 one in IPv6's clothes (`::ffff:192.0.2.1`) loses them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
