"""The blocklist as an operator lists and changes it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import structlog
from operator_kit import open_redis
from structlog.testing import LogCapture

from service.lanes import LIVE
from service.operating.blocked import REASON_LENGTH, BlockedNetworks, parse_network
from service.operating.refusal import OperatorRefused
from service.storage.store import Store
from service.webhooks.blocklist import BLOCKED, Blocklist


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """A store on an empty Redis."""
    async with open_redis(redis_url) as store:
        yield store


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8:0:0::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_every_way_to_write_a_network_is_one(typed: str, meant: str) -> None:
    """What is listed is the one form of it."""
    assert str(parse_network(typed)) == meant


@pytest.mark.parametrize("typed", ["", "hello", "203.0.113", "203.0.113.7/33", "203.0.113.7 ", "1.2.3.4/x"])
def test_what_is_no_network_is_refused(typed: str) -> None:
    """With the value, and what one looks like."""
    with pytest.raises(OperatorRefused, match="no IP address or network") as refusal:
        parse_network(typed)
    assert repr(typed) in refusal.value.message
    assert "203.0.113.0/24" in refusal.value.hint


def test_a_network_with_host_bits_is_refused_with_the_right_form() -> None:
    """It may be a slip for the address or for the network: the operator says which."""
    with pytest.raises(OperatorRefused, match=r"203\.0\.113\.7/24 is an address within a network") as refusal:
        parse_network("203.0.113.7/24")
    assert "203.0.113.0/24" in refusal.value.hint


@pytest.mark.integration
async def test_what_is_added_is_listed_and_blocks(store: Store) -> None:
    """With why, since when and by whom."""
    blocked = BlockedNetworks(store)
    before_ms = time.time_ns() // 1_000_000
    await blocked.add(parse_network("203.0.113.0/24"), "floods us", "me@here", force=False)
    (entry,) = await blocked.all()
    assert (entry.network, entry.reason, entry.by) == ("203.0.113.0/24", "floods us", "me@here")
    assert before_ms <= entry.since <= time.time_ns() // 1_000_000
    web = Blocklist(refresh_s=1, log=structlog.wrap_logger(None, processors=[LogCapture()]))
    await web.refresh(store)
    assert web.blocks("203.0.113.9")


@pytest.mark.integration
async def test_added_again_it_has_the_new_reason(store: Store) -> None:
    """One entry a network."""
    blocked = BlockedNetworks(store)
    for reason in ("old", "new"):
        await blocked.add(parse_network("203.0.113.7"), reason, "", force=False)
    assert [entry.reason for entry in await blocked.all()] == ["new"]


@pytest.mark.integration
async def test_the_list_is_in_order(store: Store) -> None:
    """By address as numbers, IPv4 first; what was put there by hand is seen, and first."""
    blocked = BlockedNetworks(store)
    for network in ("2001:db8::/32", "203.0.113.0/24", "9.0.0.0/8", "203.0.113.0/25"):
        await blocked.add(parse_network(network), "", "", force=False)
    await store.call("HSET", BLOCKED, "nonsense", "no JSON")
    networks = [entry.network for entry in await blocked.all()]
    assert networks == ["nonsense", "9.0.0.0/8", "203.0.113.0/24", "203.0.113.0/25", "2001:db8::/32"]


@pytest.mark.integration
async def test_what_is_removed_is_gone(store: Store) -> None:
    """However it is written."""
    blocked = BlockedNetworks(store)
    await blocked.add(parse_network("2001:db8::1"), "", "", force=False)
    assert str(await blocked.remove("2001:DB8:0::1")) == "2001:db8::1/128"
    assert await blocked.all() == []


@pytest.mark.integration
async def test_what_was_put_there_by_hand_can_be_removed(store: Store) -> None:
    """As it stands there."""
    await store.call("HSET", BLOCKED, "203.0.113.7", "{}")
    await BlockedNetworks(store).remove("203.0.113.7")
    assert await BlockedNetworks(store).all() == []


@pytest.mark.integration
async def test_what_is_not_there_cannot_be_removed(store: Store) -> None:
    """The network that blocks an address is named: it is that which must go."""
    blocked = BlockedNetworks(store)
    with pytest.raises(OperatorRefused, match=r"203\.0\.113\.7/32 is not on the blocklist") as refusal:
        await blocked.remove("203.0.113.7")
    assert "blocklist list" in refusal.value.hint
    await blocked.add(parse_network("203.0.113.0/24"), "", "", force=False)
    with pytest.raises(OperatorRefused) as refusal:
        await blocked.remove("203.0.113.7")
    assert refusal.value.hint == "on it is 203.0.113.0/24"
    assert len(await blocked.all()) == 1


@pytest.mark.integration
@pytest.mark.parametrize("network", ["203.0.113.7", "203.0.113.0/24"])
async def test_a_sender_of_signed_webhooks_is_not_blocked_by_mistake(store: Store, network: str) -> None:
    """WAHA's own address, alone or in a network, needs --force: its messages would be lost."""
    await store.call("SET", LIVE.rate("203.0.113.7"), "1", "PX", 60_000)
    await store.call("SET", LIVE.rate("198.51.100.1"), "1", "PX", 60_000)
    await store.call("SET", "{wa}:claim:203.0.113.8", "1")
    blocked = BlockedNetworks(store)
    with pytest.raises(OperatorRefused, match=r"correctly signed: 203\.0\.113\.7$") as refusal:
        await blocked.add(parse_network(network), "", "", force=False)
    assert "--force" in refusal.value.hint
    assert await blocked.all() == []
    await blocked.add(parse_network(network), "", "", force=True)
    assert len(await blocked.all()) == 1


@pytest.mark.integration
async def test_senders_are_found_among_many_keys(store: Store) -> None:
    """The scan goes on to its end, and finds each of them."""
    keys = [part for number in range(10_000) for part in (f"{{wa}}:claim:{number}", "")]
    await store.call("MSET", *keys)
    senders = [f"203.0.113.{number}" for number in (7, 8, 9)]
    for sender in senders:
        await store.call("SET", LIVE.rate(sender), "1")
    with pytest.raises(OperatorRefused, match=f"correctly signed: {', '.join(senders)}$"):
        await BlockedNetworks(store).add(parse_network("203.0.113.0/24"), "", "", force=False)


@pytest.mark.integration
@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[2J", "x" * (REASON_LENGTH + 1)])
async def test_a_reason_is_one_short_line(store: Store, reason: str) -> None:
    """It is shown in a terminal."""
    with pytest.raises(OperatorRefused, match="reason"):
        await BlockedNetworks(store).add(parse_network("203.0.113.7"), reason, "", force=False)
