"""`blocklist`: whose webhooks are refused, as an operator lists and changes it."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from service.lanes import LIVE
from service.operating.refusal import OperatorRefused
from service.storage.store import Store, fields_of
from service.webhooks.blocklist import BLOCKED, Address, Network, plain

REASON_LENGTH = 200

SCAN_COUNT = 2_000
"""Keys that Redis looks at in one go, about 1 ms."""

MOST_SCANS = 2_000
"""Millions of keys: beyond, a command would take longer than somebody waits for it."""


@dataclass(frozen=True)
class Blocked:
    """One network on the list. `since`: ms since 1970; `by`: who put it there."""

    network: str
    reason: str
    since: int
    by: str


def parse_network(text: str) -> Network:
    """The network that *text* means; an address is a network of one.

    Raises:
        OperatorRefused: it is neither, or has bits set that are not the network's.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise OperatorRefused(
            f"{text!r} is no IP address or network",
            "give one like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32",
        ) from None
    if "/" in text and network.network_address != ipaddress.ip_interface(text).ip:
        raise OperatorRefused(
            f"{text} is an address within a network", f"give the network as {network}, or the address alone"
        )
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    """IPv4 written as IPv6 (`::ffff:192.0.2.0/120`) is IPv4."""
    address = plain(network.network_address)
    if address.version == network.version or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((address, network.prefixlen - 96))


class BlockedNetworks:
    """The list in Redis. Methods raise what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> list[Blocked]:
        """Every entry, IPv4 before IPv6, by address."""
        parts = await self._store.call("HGETALL", BLOCKED)
        found = [_entry(*pair) for pair in fields_of(parts).items()]
        return sorted(found, key=_order)

    async def add(self, network: Network, reason: str, by: str, *, force: bool) -> Blocked:
        """Block *network*; one that is on the list gets the new reason.

        Raises:
            OperatorRefused: a sender that has our secret is within it, and *force* is not given.
        """
        if len(reason) > REASON_LENGTH or not reason.isprintable():
            raise OperatorRefused(
                f"the reason is not one line of up to {REASON_LENGTH} characters", "give a shorter one"
            )
        if not force:
            await self._refuse_senders(network)
        blocked = Blocked(str(network), reason, time.time_ns() // 1_000_000, by)
        content = {name: value for name, value in asdict(blocked).items() if name != "network"}
        await self._store.call("HSET", BLOCKED, blocked.network, orjson.dumps(content))
        return blocked

    async def remove(self, text: str) -> Network:
        """Let the network that *text* means in again.

        Raises:
            OperatorRefused: it is not on the list as such.
        """
        network = parse_network(text)
        # By hand it may have been put there as it was typed.
        if not await self._store.call("HDEL", BLOCKED, str(network), text):
            raise OperatorRefused(f"{network} is not on the blocklist", await self._what_is(network))
        return network

    async def _what_is(self, network: Network) -> str:
        """What is on the list and has to do with *network*."""
        around = [entry.network for entry in await self.all() if _overlap(entry.network, network)]
        if around:
            return f"on it is {', '.join(around)}"
        return "`bin/runbook blocklist list` shows what is"

    async def _refuse_senders(self, network: Network) -> None:
        senders = await self._senders(network)
        if senders:
            named = ", ".join(senders[:3]) + (", …" if len(senders) > 3 else "")
            raise OperatorRefused(
                f"{network} has a sender whose webhooks are correctly signed: {named}",
                "WAHA tries a refused webhook again some times and then loses the message; "
                "--force blocks it all the same",
            )

    async def _senders(self, network: Network) -> list[str]:
        """Addresses in *network* whose signed webhooks came lately, by the keys of their rate limits."""
        if network.num_addresses == 1:
            address = str(network.network_address)
            return [address] if await self._store.call("EXISTS", LIVE.rate(address)) else []
        prefix, cursor, found = LIVE.rate(""), b"0", set[str]()
        for _ in range(MOST_SCANS):
            cursor, keys = await self._store.call("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", SCAN_COUNT)
            found |= {key.decode().removeprefix(prefix) for key in keys}
            if cursor == b"0":
                break
        return sorted(text for text in found if _is_within(text, network))


def _entry(network: bytes, content: bytes) -> Blocked:
    """What stands in Redis; by hand anything could have been put there, and it must be seen."""
    try:
        told: dict[str, Any] = dict(orjson.loads(content))
        since = int(told.get("since", 0))
    except (ValueError, TypeError):
        told, since = {}, 0
    name = network.decode(errors="replace")
    return Blocked(name, str(told.get("reason", "")), since, str(told.get("by", "")))


def _order(entry: Blocked) -> tuple[int, int, int, str]:
    try:
        network = ipaddress.ip_network(entry.network)
    except ValueError:
        return 0, 0, 0, entry.network
    return network.version, int(network.network_address), network.prefixlen, ""


def _overlap(listed: str, network: Network) -> bool:
    try:
        other = ipaddress.ip_network(listed)
    except ValueError:
        return False
    return other.version == network.version and other.overlaps(network)


def _is_within(text: str, network: Network) -> bool:
    try:
        address: Address = plain(ipaddress.ip_address(text))
    except ValueError:
        return False
    return address in network
