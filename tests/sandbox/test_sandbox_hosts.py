"""Which hosts ask: looked up when a request comes, known for a moment, and nobody where nothing is found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from sandbox import hosts
from sandbox.hosts import KNOWN_FOR_S, Hosts


class Names:
    """A name service and a clock, both set by hand; `asked` are the look-ups that were made."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.now = 100.0

    async def look_up(self, name: str) -> Iterable[str]:
        self.asked.append(name)
        if name not in self.addresses:
            raise OSError(f"no such name: {name}")
        return self.addresses[name]

    def hosts(self) -> Hosts:
        return Hosts(self.look_up, clock=lambda: self.now)


async def test_an_address_of_any_name_is_included() -> None:
    """Each name may have several addresses; a name that has none does not spoil the others."""
    names = Names(web_1=["172.18.0.4", "fd00::4"], web_2=["172.18.0.5"])
    asking = names.hosts()
    among = ["web_1", "gone", "web_2"]
    addresses = ("172.18.0.4", "FD00:0::4", "::ffff:172.18.0.5", "172.18.0.6", "")
    assert [await asking.include(among, address) for address in addresses] == [True, True, True, False, False]


async def test_a_name_is_looked_up_once_a_second() -> None:
    """A flood of requests costs one look-up; a container that moved is found soon after."""
    names = Names(web=["172.18.0.4"])
    asking = names.hosts()
    assert [await asking.include(["web"], "172.18.0.4") for _ in range(5)] == [True] * 5
    assert names.asked == ["web"]
    names.addresses["web"], names.now = ["172.18.0.9"], names.now + KNOWN_FOR_S
    assert await asking.include(["web"], "172.18.0.9")
    assert not await asking.include(["web"], "172.18.0.4")
    assert names.asked == ["web", "web"]


async def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time for a look-up the name counts as unknown."""

    async def hang(_name: str) -> Iterable[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(hosts, "LOOK_UP_S", 0.05)
    assert not await asyncio.wait_for(Hosts(hang).include(["web"], "127.0.0.1"), 5)


@pytest.mark.parametrize(
    ("name", "found"),
    [("localhost", True), ("127.0.0.1", True), ("127.0.0.2", False), ("x" * 250, False), ("a\0b", False)],
)
async def test_the_machines_own_resolver_is_asked(name: str, found: bool) -> None:
    """Names and addresses both do; what can be neither matches nobody."""
    assert await Hosts().include([name], "127.0.0.1") is found
