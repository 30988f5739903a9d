"""Addresses and networks whose webhooks are refused: kept in Redis, changed at run time.

`operating/blocked.py` changes it. A web process reads the list again every few seconds. While Redis is away
it keeps the list it has.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial

from service.storage.store import Store, StoreError
from service.telemetry.logs import Log

BLOCKED = "{wa}:blocked"
"""The hash of networks (`203.0.113.7/32`), each with why, since when and by whom it is blocked, as JSON."""

CACHED_ADDRESSES = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_Prefixes = dict[tuple[int, int], set[int]]
"""By IP version and number of host bits, the networks' own bits."""


def plain(address: Address) -> Address:
    """The address itself, where it is an IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`)."""
    return getattr(address, "ipv4_mapped", None) or address


class Blocklist:
    """The list as a web process knows it. Empty until it was read for the first time."""

    def __init__(self, *, refresh_s: float, log: Log) -> None:
        self._refresh_s = refresh_s
        self._log = log
        self._listed: frozenset[bytes] = frozenset()
        self._judge: Callable[[str], bool] | None = None

    def blocks(self, address: str) -> bool:
        """Whether *address* is on the list or in a network on it; what is no address is not."""
        return self._judge is not None and self._judge(address)

    async def refresh_forever(self, store: Store) -> None:
        """Read the list now and every few seconds, until cancelled."""
        while True:
            await self.refresh(store)
            await asyncio.sleep(self._refresh_s)

    async def refresh(self, store: Store) -> None:
        """Read the list; where Redis does not answer, the one that is known stays in force."""
        try:
            listed = frozenset(await store.call("HKEYS", BLOCKED))
        except StoreError as error:
            self._log.warning("Blocklist could not be read", exc_info=error)
            return
        if listed != self._listed:
            self._put_in_force(listed)

    def _put_in_force(self, listed: frozenset[bytes]) -> None:
        networks = list(self._networks(listed))
        # A new cache each time: the answers of the old list are worth nothing.
        judge = lru_cache(CACHED_ADDRESSES)(partial(_is_in, _prefixes(networks)))
        self._listed, self._judge = listed, judge if networks else None
        self._log.info("Blocklist changed", networks=len(networks))

    def _networks(self, listed: Iterable[bytes]) -> Iterator[Network]:
        for entry in listed:
            try:
                yield ipaddress.ip_network(entry.decode())
            except ValueError:  # put there by hand; the others must hold all the same
                self._log.warning("Blocklist has an entry that is no network")


def _prefixes(networks: Iterable[Network]) -> _Prefixes:
    prefixes: _Prefixes = defaultdict(set)
    for network in networks:
        host_bits = network.max_prefixlen - network.prefixlen
        prefixes[network.version, host_bits].add(int(network.network_address) >> host_bits)
    return dict(prefixes)


def _is_in(prefixes: _Prefixes, text: str) -> bool:
    """However many networks there are, one look for each length of prefix among them."""
    try:
        address = plain(ipaddress.ip_address(text))
    except ValueError:
        return False
    number = int(address)
    return any(
        version == address.version and number >> host_bits in own_bits
        for (version, host_bits), own_bits in prefixes.items()
    )
