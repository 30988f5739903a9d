"""The blocklist of a web process: what is on it, how it is refreshed, that it costs nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from operator_kit import open_redis
from structlog.testing import LogCapture

from service.storage.store import Store, StoreAway
from service.webhooks.blocklist import BLOCKED, CACHED_ADDRESSES, Blocklist


class Listed:
    """A store that knows one hash, and may be away. `asked_again`: the answer before was worked on."""

    def __init__(self, *networks: str) -> None:
        self.networks = list(networks)
        self.away = False
        self.asked_again = asyncio.Event()
        self._asked = 0

    async def call(self, *command: Any) -> list[bytes]:
        assert command == ("HKEYS", BLOCKED)
        self._asked += 1
        if self._asked >= 2:
            self.asked_again.set()
        if self.away:
            raise StoreAway("gone")
        return [network.encode() for network in self.networks]


@pytest.fixture
def logs() -> LogCapture:
    """What the blocklist logs."""
    return LogCapture()


@pytest.fixture
def blocklist(logs: LogCapture) -> Blocklist:
    """One that has read nothing yet."""
    return Blocklist(refresh_s=0.01, log=structlog.wrap_logger(None, processors=[logs]))


async def refreshed(blocklist: Blocklist, *networks: str) -> Blocklist:
    """The blocklist after it has read *networks*."""
    await blocklist.refresh(Listed(*networks))  # type: ignore[arg-type]  # all that it asks for
    return blocklist


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("203.0.113.7", True),
        ("203.0.113.8", False),
        ("198.51.100.255", True),
        ("198.51.101.0", False),
        ("2001:db8::1", True),
        ("2001:DB8:0:0::1", True),
        ("2001:db9::1", False),
        ("::ffff:203.0.113.7", True),
        ("0.0.0.203", False),
        ("unknown", False),
        ("", False),
    ],
)
async def test_an_address_is_blocked_by_itself_or_its_network(
    blocklist: Blocklist, address: str, blocked: bool
) -> None:
    """Whatever way it is written; what is no address is never blocked, and versions are not confused."""
    await refreshed(blocklist, "203.0.113.7/32", "198.51.100.0/24", "2001:db8::/32")
    assert blocklist.blocks(address) is blocked
    assert blocklist.blocks(address) is blocked


@given(
    networks=st.lists(
        st.ip_addresses().flatmap(
            lambda a: st.integers(0, a.max_prefixlen).map(
                lambda length: ipaddress.ip_network((a, length), strict=False)
            )
        ),
        max_size=8,
    ),
    address=st.ip_addresses(),
)
def test_it_judges_as_the_library_does(networks: list[Any], address: Any) -> None:
    """Masks and sets give the same answer as asking each network in turn."""
    blocklist = Blocklist(refresh_s=1, log=structlog.wrap_logger(None, processors=[LogCapture()]))
    asyncio.run(refreshed(blocklist, *map(str, networks)))
    asked = getattr(address, "ipv4_mapped", None) or address
    assert blocklist.blocks(str(address)) is any(
        asked.version == network.version and asked in network for network in networks
    )


def test_before_the_first_read_nothing_is_blocked(blocklist: Blocklist) -> None:
    """A web process starts while Redis is away."""
    assert not blocklist.blocks("203.0.113.7")


async def test_an_answer_does_not_outlive_its_list(blocklist: Blocklist) -> None:
    """What was added or removed holds for addresses that were asked about before."""
    await refreshed(blocklist, "203.0.113.7/32")
    assert (blocklist.blocks("203.0.113.7"), blocklist.blocks("203.0.113.9")) == (True, False)
    await refreshed(blocklist, "203.0.113.9/32")
    assert (blocklist.blocks("203.0.113.7"), blocklist.blocks("203.0.113.9")) == (False, True)
    await refreshed(blocklist)
    assert not blocklist.blocks("203.0.113.9")


async def test_while_redis_is_away_the_last_list_holds(blocklist: Blocklist, logs: LogCapture) -> None:
    """It is said, and nobody is let in."""
    store = Listed("203.0.113.7/32")
    await blocklist.refresh(store)  # type: ignore[arg-type]
    store.away = True
    await blocklist.refresh(store)  # type: ignore[arg-type]
    assert blocklist.blocks("203.0.113.7")
    assert logs.entries[-1]["event"] == "Blocklist could not be read"


async def test_it_refreshes_for_ever(blocklist: Blocklist) -> None:
    """Also after Redis was away."""
    store = Listed()
    store.away = True
    task = asyncio.create_task(blocklist.refresh_forever(store))  # type: ignore[arg-type]
    await store.asked_again.wait()
    store.networks, store.away = ["203.0.113.7/32"], False
    store.asked_again.clear()
    await store.asked_again.wait()
    assert blocklist.blocks("203.0.113.7")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_entry_that_is_no_network_does_not_end_the_others(
    blocklist: Blocklist, logs: LogCapture
) -> None:
    """Somebody may have put it there by hand; it is told of once, not every two seconds."""
    await refreshed(blocklist, "not a network", "203.0.113.0/24")
    await refreshed(blocklist, "203.0.113.0/24", "not a network")
    assert blocklist.blocks("203.0.113.7")
    told = [line["event"] for line in logs.entries]
    assert told.count("Blocklist has an entry that is no network") == 1


async def test_many_addresses_do_not_fill_the_memory(blocklist: Blocklist) -> None:
    """Answers are kept for a bounded number of addresses."""
    await refreshed(blocklist, "203.0.113.7/32")
    for number in range(CACHED_ADDRESSES * 3):
        blocklist.blocks(str(ipaddress.ip_address(number)))
    judge: Any = blocklist._judge
    assert judge.cache_info().currsize == CACHED_ADDRESSES


@pytest.mark.parametrize("networks", [(), ("203.0.113.0/24",)], ids=["empty", "cached"])
async def test_the_usual_answer_runs_no_code_of_the_address(
    blocklist: Blocklist, networks: tuple[str, ...]
) -> None:
    """An empty list, and an address that was asked about before, parse nothing: one call of ours, no more."""
    await refreshed(blocklist, *networks)
    blocklist.blocks("198.51.100.1")
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        blocklist.blocks("198.51.100.1")
    finally:
        sys.setprofile(None)
    assert calls == ["blocks"]


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    async with open_redis(redis_url) as store:
        yield store


@pytest.mark.integration
async def test_it_reads_what_lies_in_redis(blocklist: Blocklist, store: Store) -> None:
    """The hash's fields are the networks."""
    await store.call("HSET", BLOCKED, "203.0.113.0/24", "{}")
    await blocklist.refresh(store)
    assert blocklist.blocks("203.0.113.255")
