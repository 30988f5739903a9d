"""Live messages that no worker takes: seen after a minute in which the group did not move, told once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import structlog
from service_kit import NO_REDIS
from structlog.testing import LogCapture

from service.lanes import GROUP, LIVE
from service.storage.progress import Progress, read_progress
from service.storage.redis_store import RedisStore
from service.storage.store import Store, StoreAway
from service.telemetry.unread import STALLED_AFTER_S, UnreadWatch

LONGEST_REST_S = 105.0


class Rig:
    """The watch on a clock that is set by hand."""

    def __init__(self) -> None:
        self.logs, self.now_s = LogCapture(), 0.0
        log = structlog.wrap_logger(None, processors=[self.logs])
        self.watch = UnreadWatch(log, longest_rest_s=LONGEST_REST_S, clock=lambda: self.now_s)

    def see(self, delivered: str | None, waiting_ms: int | None, *, after_s: float = STALLED_AFTER_S) -> bool:
        """So much later the lane stands so; whether that is a stall."""
        self.now_s += after_s
        self.watch.note(Progress(delivered, waiting_ms, 0))
        return self.watch.is_stalled

    def told(self) -> list[tuple[str, str]]:
        """Level and message of each line."""
        return [(line["log_level"], line["event"]) for line in self.logs.entries]


def test_a_minute_without_a_reader_is_a_stall() -> None:
    """Not before, told once, and its end too."""
    rig = Rig()
    assert not rig.see("1-0", 5)
    assert not rig.see("1-0", 5, after_s=STALLED_AFTER_S - 1)
    assert [rig.see("1-0", 5, after_s=1) for _ in range(3)] == [True] * 3
    assert not rig.see("2-0", 6)
    assert rig.told() == [
        ("error", "Live messages wait and no worker takes any"),
        ("info", "Live messages are taken again"),
    ]


def test_before_the_first_worker_it_is_one_too() -> None:
    """Nobody has opened the lane, and messages wait."""
    rig = Rig()
    rig.see(None, 5)
    assert rig.see(None, 5)


def test_messages_that_a_dead_worker_left_are_one_too() -> None:
    """All were read, and no worker has tried one for longer than all may rest; then one does."""
    rig = Rig()
    silent_ms = round(LONGEST_REST_S * 1000)
    stalls = []
    for so_long_ms in (silent_ms - 1, silent_ms, silent_ms + 5000, 3):
        rig.watch.note(Progress("5-0", None, 5, so_long_ms))
        stalls.append(rig.watch.is_stalled)
    assert stalls == [False, True, True, False]
    assert [level for level, _ in rig.told()] == ["error", "info"]


@pytest.mark.parametrize(
    "steps", [[("1-0", 5), ("2-0", 5)], [("1-0", None), ("1-0", 5)], [("1-0", None)] * 2]
)
def test_no_stall(steps: list[tuple[str, int | None]]) -> None:
    """A backlog that is worked off, one that has just come, and a queue in which nothing waits."""
    rig = Rig()
    assert [rig.see(*step) for step in steps * 3].count(True) == 0
    assert rig.told() == []


@pytest.mark.integration
async def test_progress_is_that_of_our_group(store: Store) -> None:
    """What was read and what waits, from before the first message to after the last."""
    assert await read_progress(store, LIVE) == Progress(None, None, 0)
    for number in (1000, 2000, 3000):
        await store.call("XADD", LIVE.stream, f"{number}-0", "event", "{}")
    await store.call("XGROUP", "CREATE", LIVE.stream, "somebody", "$")
    assert await read_progress(store, LIVE) == Progress(None, 1000, 0)
    await store.call("XGROUP", "CREATE", LIVE.stream, GROUP, "0")
    assert await read_progress(store, LIVE) == Progress("0-0", 1000, 0)
    await store.call("XREADGROUP", "GROUP", GROUP, "w", "COUNT", 2, "STREAMS", LIVE.stream, ">")
    assert replace(await read_progress(store, LIVE), silent_ms=0) == Progress("2000-0", 3000, 2)
    await store.call("XREADGROUP", "GROUP", GROUP, "w", "COUNT", 2, "STREAMS", LIVE.stream, ">")
    await store.call("XACK", LIVE.stream, GROUP, "1000-0")
    assert replace(await read_progress(store, LIVE), silent_ms=0) == Progress("3000-0", None, 2)


@pytest.mark.integration
async def test_silence_is_that_of_the_worker_seen_last(store: Store) -> None:
    """While something is in work; trying an entry again breaks it, renewing one too."""
    await store.call("XGROUP", "CREATE", LIVE.stream, GROUP, "0", "MKSTREAM")
    await store.call("XADD", LIVE.stream, "1000-0", "event", "{}")
    await store.call("XREADGROUP", "GROUP", GROUP, "dead", "COUNT", 1, "STREAMS", LIVE.stream, ">")
    await asyncio.sleep(0.5)
    assert (await read_progress(store, LIVE)).silent_ms >= 500
    await store.call("XCLAIM", LIVE.stream, GROUP, "alive", 0, "1000-0", "JUSTID")
    assert (await read_progress(store, LIVE)).silent_ms < 500
    await asyncio.sleep(0.5)
    await store.call("XACK", LIVE.stream, GROUP, "1000-0")
    assert (await read_progress(store, LIVE)).silent_ms == 0


async def test_progress_raises_what_the_store_raises() -> None:
    """Without Redis nobody knows."""
    away = RedisStore(NO_REDIS, timeout_s=0.5)
    with pytest.raises(StoreAway):
        await read_progress(away, LIVE)
    await away.aclose()
