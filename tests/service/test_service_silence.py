"""Silent sessions: noted cheaply, told once by one worker with what WAHA says, and once when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis
from structlog.testing import LogCapture

from service.storage.last_seen import NOTE_EVERY_MS, LastSeen
from service.storage.redis_store import RedisStore
from service.storage.store import Argument, StoreAway
from service.telemetry.silence import ASK_AT_ONCE, FORGET_AFTER_MS, Sessions, SilenceWatch

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000


class Calls:
    """A store that records its calls, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.made: list[tuple[Argument, ...]] = []
        self._away = away

    async def call(self, *command: Argument) -> Any:
        self.made.append(command)
        if self._away:
            raise StoreAway("away")
        return 0


async def settled() -> None:
    """Return when the tasks begun so far are done."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


async def test_session_is_written_once_in_ten_seconds() -> None:
    """However many events come, each session costs one write in ten seconds."""
    calls = Calls()
    sessions = Sessions(calls)  # type: ignore[arg-type]
    for passed_ms in range(0, NOTE_EVERY_MS, 100):
        sessions.note("one", NOW_MS + passed_ms)
        sessions.note("two", NOW_MS + passed_ms)
    sessions.note("one", NOW_MS + NOTE_EVERY_MS)
    await settled()
    written = [command[-2:] for command in calls.made if command[0] == "ZADD"]
    assert written == [(NOW_MS, "one"), (NOW_MS, "two"), (NOW_MS + NOTE_EVERY_MS, "one")]


async def test_noting_survives_a_redis_that_is_away() -> None:
    """A write that fails is nobody's error."""
    calls = Calls(away=True)
    Sessions(calls).note("one", NOW_MS)  # type: ignore[arg-type]
    await settled()
    assert calls.made


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """A store on an empty Redis."""
    store = RedisStore(redis_url, timeout_s=30)
    yield store
    await store.aclose()


async def note(store: RedisStore, name: str, at_ms: int) -> None:
    """Have an event of session *name* at *at_ms*."""
    Sessions(store).note(name, at_ms)
    await settled()


async def test_only_the_latest_are_remembered(store: RedisStore, redis: Redis) -> None:
    """Beyond the bound, those seen longest ago are forgotten; an older time never replaces a newer one."""
    for number in range(5):
        LastSeen(store, "{wa}:seen", most=3).note(f"s{number}", NOW_MS + number)
    await settled()
    LastSeen(store, "{wa}:seen", most=3).note("s4", NOW_MS)
    await settled()
    seen = await redis.zrange("{wa}:seen", 0, -1, withscores=True)
    assert seen == [(b"s2", NOW_MS + 2), (b"s3", NOW_MS + 3), (b"s4", NOW_MS + 4)]


class Watch:
    """A worker's watch with a clock and a WAHA set by hand."""

    def __init__(
        self, store: RedisStore, *, after_s: float = 4 * 3600, answer: httpx.Response | None = None
    ) -> None:
        self.logs = LogCapture()
        self.asked: list[str] = []
        self.now_ms = NOW_MS
        self.gauge = Gauge("silent_sessions", "-", registry=CollectorRegistry())
        self.answer: Callable[[], httpx.Response] = lambda: (
            answer or httpx.Response(200, json={"status": "WORKING"})
        )
        client = httpx.AsyncClient(base_url="http://waha", transport=httpx.MockTransport(self._take))
        self.look = SilenceWatch(
            store,
            client,
            after_s=after_s,
            silent=self.gauge,
            log=structlog.wrap_logger(None, processors=[self.logs]),
            clock=lambda: self.now_ms / 1000,
        ).look

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        return self.answer()

    @property
    def told(self) -> list[dict[str, Any]]:
        """The lines, without their level."""
        return [
            {name: value for name, value in line.items() if name != "log_level"} for line in self.logs.entries
        ]

    @property
    def count(self) -> float:
        """What the gauge shows."""
        return self.gauge._value.get()


SILENT = {"event": "Session silent", "session": "shop", "silentS": 5 * 3600, "wahaStatus": "WORKING"}


async def test_silence_is_told_once_with_wahas_word(store: RedisStore) -> None:
    """A session without an event for too long is told once, with its status; one that speaks is not."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    await note(store, "busy", NOW_MS - 3 * HOUR_MS)
    watch = Watch(store)
    await watch.look()
    await watch.look()
    assert (watch.told, watch.asked, watch.count) == ([SILENT], ["/api/sessions/shop"], 1)


async def test_one_of_many_workers_tells(store: RedisStore) -> None:
    """Workers that look at the same moment tell of a silence once between them, and of its end too."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    watches = [Watch(store) for _ in range(5)]
    await asyncio.gather(*(watch.look() for watch in watches))
    await note(store, "shop", NOW_MS)
    await asyncio.gather(*(watch.look() for watch in watches))
    told = [line for watch in watches for line in watch.told]
    assert told == [SILENT, {"event": "Session speaks again", "session": "shop", "silentS": 5 * 3600}]


async def test_next_silence_is_told_again(store: RedisStore) -> None:
    """After it spoke, a session that falls silent once more is told of once more."""
    watch = Watch(store)
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    await watch.look()
    await note(store, "shop", NOW_MS)
    await watch.look()
    watch.now_ms += 5 * HOUR_MS
    await watch.look()
    assert [line["event"] for line in watch.told] == [
        "Session silent",
        "Session speaks again",
        "Session silent",
    ]


async def test_removed_session_is_forgotten(store: RedisStore) -> None:
    """A session that WAHA does not know any more is neither silent nor does it speak again."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store, answer=httpx.Response(404, json={"message": "Session not found"}))
    await watch.look()
    await watch.look()
    assert (watch.told, len(watch.asked), watch.count) == ([], 1, 0)


async def test_long_gone_session_is_forgotten(store: RedisStore) -> None:
    """After a month of silence a session is forgotten, without a word."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store)
    await watch.look()
    watch.now_ms = NOW_MS + FORGET_AFTER_MS
    await watch.look()
    await watch.look()
    assert (watch.told, watch.count) == ([SILENT], 0)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="no JSON"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"status": 7}),
        httpx.Response(200, json={"status": "{15551234567}"}),
    ],
)
async def test_waha_that_says_nothing_useful_is_unknown(store: RedisStore, answer: httpx.Response) -> None:
    """Whatever WAHA answers, the silence is told, and only a word of WAHA's kind is shown."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store, answer=answer)
    await watch.look()
    assert watch.told == [{**SILENT, "wahaStatus": "UNKNOWN"}]


async def test_waha_that_is_away_is_unknown(store: RedisStore) -> None:
    """A WAHA that cannot be reached does not keep the silence from being told."""
    await note(store, "a/../b c", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store)

    def away() -> httpx.Response:
        raise httpx.ConnectError("away")

    watch.answer = away
    await watch.look()
    assert [line["wahaStatus"] for line in watch.told] == ["UNKNOWN"]
    assert watch.asked == ["/api/sessions/a%2F..%2Fb%20c"]


@pytest.mark.parametrize(
    ("name", "shown_as"),
    [
        ("shop", "shop"),
        ("shop-2026", "shop-2026"),
        ("15551234567", "***567"),
        ("wa_491701234567x", "wa_***567x"),
    ],
)
async def test_number_in_a_name_is_not_logged(store: RedisStore, name: str, shown_as: str) -> None:
    """Of a session that is named by a telephone number the log has the last digits."""
    await note(store, name, NOW_MS - 5 * HOUR_MS)
    watch = Watch(store)
    await watch.look()
    await note(store, name, NOW_MS)
    await watch.look()
    assert [line["session"] for line in watch.told] == [shown_as, shown_as]


async def test_many_are_told_over_several_looks(store: RedisStore) -> None:
    """When all fall silent at once, WAHA is asked about few at a time, and in the end all are told."""
    for number in range(ASK_AT_ONCE + 1):
        await note(store, f"s{number}", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store)
    await watch.look()
    assert (len(watch.told), watch.count) == (ASK_AT_ONCE, ASK_AT_ONCE + 1)
    await watch.look()
    assert len({line["session"] for line in watch.told}) == ASK_AT_ONCE + 1


async def test_watch_can_be_turned_off(store: RedisStore) -> None:
    """With SILENT_AFTER_S 0 nothing is silent."""
    await note(store, "shop", NOW_MS - 5 * HOUR_MS)
    watch = Watch(store, after_s=0)
    await watch.look()
    assert (watch.told, watch.asked) == ([], [])
