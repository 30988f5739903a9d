"""What every store promises, tried on both: over Redis's own protocol, and over Upstash's REST API."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from store_kit import (
    ECHO,
    PAUSED_S,
    TOKEN,
    Rig,
    keeping_writes_back,
    running_proxy,
    running_upstash,
    until,
)

from service.storage.redis_store import RedisStore
from service.storage.store import (
    DiskFailed,
    OutOfMemory,
    Script,
    Store,
    StoreAway,
    StoreError,
    StoreFull,
    StoreRefused,
    refusal,
)
from service.storage.upstash_store import UpstashStore

SHORT_S = 0.6
"""Of a store that is to give up. Others get their answers, however slow the machine is."""

pytestmark = pytest.mark.integration


@pytest.fixture(params=["redis", "upstash"])
async def rig(request: pytest.FixtureRequest, redis_url: str, redis: Redis) -> AsyncIterator[Rig]:
    """A store on an empty Redis, its round trips counted."""
    async with running_rig(request.param, redis_url, redis, timeout_s=30) as rig:
        yield rig


@pytest.fixture(params=["redis", "upstash"])
async def impatient(request: pytest.FixtureRequest, redis_url: str, redis: Redis) -> AsyncIterator[Rig]:
    """The same with a store that soon gives up."""
    async with running_rig(request.param, redis_url, redis, timeout_s=SHORT_S) as rig:
        yield rig


@asynccontextmanager
async def running_rig(kind: str, redis_url: str, redis: Redis, *, timeout_s: float) -> AsyncIterator[Rig]:
    """A rig of this *kind*."""
    if kind == "redis":
        async with running_proxy(redis_url) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}{urlsplit(redis_url).path}"
            store: Store = RedisStore(url, timeout_s=timeout_s)
            yield Rig(store, proxy.sent, redis)
            await store.aclose()
    else:
        trips: list[bytes] = []
        async with running_upstash(redis_url, trips) as url:
            store = UpstashStore(url, TOKEN, timeout_s=timeout_s)
            yield Rig(store, trips, redis)
            await store.aclose()


async def answered(store: Store, *command: str) -> object:
    """The reply to *command*, asked for again where a slow machine took longer than the store waits."""
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreAway):
                return await store.call(*command)


async def together(*calls: object) -> list[object]:
    """What each call of one event-loop turn came to."""
    return await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload, no-any-return]


async def test_replies_are_as_resp2_has_them(rig: Rig) -> None:
    """Bytes, numbers, nothing, and lists of these arrive as they are, OK and all."""
    call = rig.store.call
    assert await call("SET", "a", b"\x00\n\r\n") == b"OK"
    assert await call("GET", "a") == b"\x00\n\r\n"
    assert await call("GET", "nothing") is None
    assert await call("INCRBY", "n", 5) == 5
    assert await call("RPUSH", "l", "x", 1.5) == 2
    assert await call("EVAL", "return {1, {'OK', 'a', false}, KEYS[1]}", 1, "é") == [
        1,
        [b"OK", b"a", None],
        "é".encode(),
    ]


async def test_replies_are_binary_safe(rig: Rig) -> None:
    """What is no UTF-8 arrives unchanged."""
    await rig.redis.set("a", bytes(range(256)))
    assert await rig.store.call("GET", "a") == bytes(range(256))


async def test_calls_of_one_turn_share_a_round_trip(rig: Rig) -> None:
    """However many are asked for at once, one request goes out."""
    await rig.store.call("PING")
    rig.trips.clear()
    await together(*(rig.store.call("INCR", "n") for _ in range(50)), rig.store.run(ECHO, ["k"], [1]))
    assert len(rig.trips) == 1
    assert await rig.redis.get("n") == b"50"


async def test_calls_of_one_turn_keep_their_order(rig: Rig) -> None:
    """Commands and scripts are done in the order in which they were asked for."""
    text = b"return redis.call('APPEND', KEYS[1], ARGV[1])"
    append = Script("append", text, hashlib.sha1(text).hexdigest())
    lengths = await together(
        *(
            rig.store.run(append, ["a"], [digit]) if digit % 2 else rig.store.call("APPEND", "a", digit)
            for digit in range(10)
        )
    )
    assert lengths == list(range(1, 11))
    assert await rig.redis.get("a") == b"0123456789"


async def test_an_error_is_its_callers_own(rig: Rig) -> None:
    """Those who asked in the same turn get their replies."""
    await rig.redis.set("text", "x")
    before, failed, after = await together(
        rig.store.call("SET", "a", 1), rig.store.call("INCR", "text"), rig.store.call("GET", "a")
    )
    assert (before, after) == (b"OK", b"1")
    assert isinstance(failed, StoreRefused)
    assert "not an integer" in str(failed)


async def test_giving_up_disturbs_nobody(rig: Rig) -> None:
    """Who is cancelled before or after the sending leaves the others their own replies."""
    early = rig.store.call("INCR", "early")
    late = rig.store.call("INCR", "late")
    other = rig.store.call("SET", "a", 1)
    early.cancel()
    for _ in range(3):
        await asyncio.sleep(0)  # now the batch is sent
    late.cancel()
    assert await other == b"OK"
    assert await rig.store.call("MGET", "a", "early") == [b"1", None]


async def test_what_cannot_be_sent_is_its_callers_error(rig: Rig) -> None:
    """Half an emoji has no bytes: whoever asks with it is told, and the connection goes on."""
    await rig.store.call("PING")
    with pytest.raises((UnicodeError, StoreError, TypeError)):
        await rig.store.call("SET", "a", "\ud83d")
    assert await rig.store.call("ECHO", "mine") == b"mine"


async def test_a_silent_redis_is_away_in_time(impatient: Rig) -> None:
    """Without an answer all callers hear so in time, and a late one is not taken for another's."""
    store = impatient.store
    await answered(store, "PING")
    async with keeping_writes_back(impatient.redis):
        began = time.monotonic()
        results = await together(store.call("SET", "a", "late"), store.call("GET", "a"))
        took_s = time.monotonic() - began
    assert [type(result) for result in results] == [StoreAway, StoreAway]
    assert SHORT_S * 0.9 < took_s < PAUSED_S / 3
    assert await answered(store, "ECHO", "mine") == b"mine"


async def test_a_closed_connection_is_opened_again(rig: Rig) -> None:
    """When Redis closed a connection that was idle, the next call does not notice."""
    await rig.store.call("PING")
    await rig.redis.client_kill_filter(_type="normal", skipme=True)

    async def alone() -> bool:
        return len(await rig.redis.client_list()) == 1

    await until(alone)
    assert await rig.store.call("PING") == b"PONG"


async def test_scripts_survive_a_flush(rig: Rig) -> None:
    """A Redis that forgot a script is sent it again, once for all who wait, and each gets its own reply."""
    await rig.store.run(ECHO, ["k"], ["v"])
    await rig.redis.script_flush()
    rig.trips.clear()
    replies = await together(
        rig.store.call("PING"), *(rig.store.run(ECHO, ["k"], [number]) for number in range(3))
    )
    assert replies == [b"PONG", [b"k", b"0"], [b"k", b"1"], [b"k", b"2"]]
    assert len(rig.trips) == 2
    await rig.store.run(ECHO, ["k"], ["v"])
    assert len(rig.trips) == 3


async def test_a_redis_without_room_is_full(rig: Rig) -> None:
    """Writes are refused as full, reads are answered, and with room it goes on."""
    await rig.redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreFull):
            await rig.store.call("SET", "a", 1)
        assert await rig.store.call("GET", "a") is None
    finally:
        await rig.redis.config_set("maxmemory", "0")
    assert await rig.store.call("SET", "a", 1) == b"OK"


async def test_nobody_listening_is_away() -> None:
    """A Redis that is not there is `StoreAway`, both ways, at once."""
    for store in (
        RedisStore("redis://127.0.0.1:1/0", timeout_s=5),
        UpstashStore("http://127.0.0.1:1", TOKEN, timeout_s=5),
    ):
        with pytest.raises(StoreAway):
            await store.call("PING")
        with pytest.raises(StoreAway):
            await store.read_group("g", "c", ["s"], count=1, block_ms=10)
        await store.aclose()


async def test_group_reads_wait_for_the_first_entry(rig: Rig) -> None:
    """An entry that comes while a read waits ends it at once; other calls do not wait for it."""
    await rig.store.call("XGROUP", "CREATE", "s", "g", 0, "MKSTREAM")
    reading = asyncio.ensure_future(rig.store.read_group("g", "c", ["s"], count=2, block_ms=60_000))
    await asyncio.sleep(0.02)
    assert await rig.store.call("PING") == b"PONG"
    await rig.redis.xadd("s", {"a": b"\xff"}, id="1-1")
    assert await asyncio.wait_for(reading, 20) == [(b"s", [(b"1-1", {b"a": b"\xff"})])]


async def test_group_reads_end_empty(impatient: Rig) -> None:
    """Nothing new within the time is nothing, not an error, also when it is longer than the time limit."""
    await impatient.redis.xgroup_create("s", "g", 0, mkstream=True)
    began = time.monotonic()
    block_ms = int(SHORT_S * 1500)
    assert await impatient.store.read_group("g", "c", ["s"], count=2, block_ms=block_ms) == []
    assert time.monotonic() - began >= block_ms / 1000 * 0.95


async def test_group_reads_tell_a_lost_group(rig: Rig) -> None:
    """A stream without its group is refused in Redis's words."""
    with pytest.raises(StoreRefused, match="NOGROUP"):
        await rig.store.read_group("g", "c", ["s"], count=1, block_ms=10)


async def test_a_read_that_was_given_up_blocks_no_other(rig: Rig) -> None:
    """After a cancelled read the next one starts anew and gets what is there."""
    await rig.store.call("XGROUP", "CREATE", "s", "g", 0, "MKSTREAM")
    reading = asyncio.ensure_future(rig.store.read_group("g", "c", ["s"], count=1, block_ms=60_000))
    await asyncio.sleep(0.02)
    reading.cancel()
    await together(reading)
    await rig.redis.xadd("s", {"a": "1"})
    ((stream, _entries),) = await rig.store.read_group("g", "d", ["s"], count=1, block_ms=1000)
    assert stream == b"s"


async def test_closing_ends_what_waits(rig: Rig) -> None:
    """No caller is left without an end when the store is closed."""
    async with keeping_writes_back(rig.redis):
        waiting = asyncio.ensure_future(rig.store.call("SET", "a", 1))
        await asyncio.sleep(0.02)
        await rig.store.aclose()
        (result,) = await together(waiting)
    assert isinstance(result, StoreAway)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemory),
        ("MISCONF Errors writing to the AOF file: No space left on device", DiskFailed),
        ("ERR DB capacity quota exceeded", OutOfMemory),
        ("READONLY You can't write against a read only replica.", StoreAway),
        ("LOADING Redis is loading the dataset in memory", StoreAway),
        ("BUSY Redis is busy running a script.", StoreAway),
        ("MASTERDOWN Link with MASTER is down", StoreAway),
        ("WRONGTYPE Operation against a key", StoreRefused),
        ("NOSCRIPT No matching script.", StoreRefused),
        ("OOMPH", StoreRefused),
    ],
)
def test_error_replies_have_their_kind(reply: str, kind: type[StoreError]) -> None:
    """What is full, what is away for now, and what is refused is told apart by the reply's first word."""
    error = refusal(reply)
    assert isinstance(error, kind)
    assert str(error) == reply


def test_arguments_of_an_unknown_command_are_not_told() -> None:
    """Redis quotes them in its error; they could be a message's text."""
    error = refusal("ERR unknown command 'NOPE', with args beginning with: 'secret' ")
    assert str(error) == "ERR unknown command 'NOPE'"
