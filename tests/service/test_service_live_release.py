"""Which release is live: what the proxy said last, and nobody's guess before it has said anything."""

from __future__ import annotations

from typing import Any, cast

import pytest
import structlog
from peer_kit import Answer, Peer, answering, hang_up, nonsense, running_peer, silence
from prometheus_client import CollectorRegistry
from structlog.testing import LogCapture

from contracts.free_ports import free_port
from service.lanes import LIVE
from service.messages import live_release
from service.messages.live_release import (
    LOG_INTERVAL_S,
    UNKNOWN_AFTER_S,
    LiveRelease,
    LiveReleaseUnknown,
    ask_live_release,
)
from service.storage.store import Store, StoreAway
from service.telemetry.metrics import WorkerMetrics


class Rig:
    """A worker of r-1 that asks *url*, with what the tests look at."""

    def __init__(self, url: str | None, release: str = "r-1") -> None:
        self.registry, self.logs, self.now_s, self.waiting = CollectorRegistry(), LogCapture(), 1000.0, 0
        self.pointed_to: list[object] = []
        self.url = url or ""
        self.live = LiveRelease(
            url,
            release,
            metrics=WorkerMetrics(self.registry),
            log=structlog.wrap_logger(None, processors=[self.logs]),
            clock=lambda: self.now_s,
        )

    async def call(self, *command: object) -> int:
        """The only things that are asked of Redis."""
        if self.waiting < 0:
            raise StoreAway("x")
        if command[:2] == ("SET", "{wa}:live"):
            self.pointed_to += command[2:]
            return 0
        assert command == ("XLEN", LIVE.stream)
        return self.waiting

    async def poll(self) -> bool:
        """Ask once; whether r-1 is live."""
        await self.live.poll(self.url, cast(Store, self))
        return self.live.is_ours

    @property
    def known(self) -> float | None:
        """The metric."""
        return self.registry.get_sample_value("live_release_known")

    def errors(self) -> list[Any]:
        """The reasons in the log."""
        return [line["reason"] for line in self.logs.entries if line["log_level"] == "error"]


def says(release: str) -> Answer:
    """A proxy whose traffic *release* has."""
    return answering(200, release.encode())


async def test_release_that_has_the_traffic_is_live() -> None:
    """The answer is its id, with or without a line's end; each change is told once."""
    async with running_peer(says("r-1")) as peer:
        rig = Rig(peer.url)
        assert (rig.live.is_ours, rig.known) == (False, 0)
        assert (await rig.poll(), rig.known) == (True, 1)
        assert await rig.poll()
        peer.answer = says("r-2\n")
        assert not await rig.poll()
    told = [(line["event"], line["live"], line["ours"]) for line in rig.logs.entries]
    assert told == [("Live release", "r-1", True), ("Live release", "r-2", False)]


async def test_older_workers_are_told_in_redis() -> None:
    """They go by a key there: each change is written once, and again while Redis does not take it."""
    async with running_peer(says("r-1")) as peer:
        rig = Rig(peer.url)
        for waiting in (-1, 0, 0):
            rig.waiting = waiting
            assert await rig.poll()
        peer.answer = says("r-0")
        assert not await rig.poll()
        peer.answer = answering(503)
        await rig.poll()
    assert rig.pointed_to == ["r-1", "r-0"]


async def test_each_question_has_a_connection_of_its_own() -> None:
    """Otherwise a proxy that has been replaced would go on answering."""
    async with running_peer(says("r-1")) as peer:
        for _ in range(2):
            await ask_live_release(peer.url)
    assert [request.headers["connection"] for request in peer.requests] == ["close", "close"]


NO_ANSWERS: dict[str, Answer] = {
    "503": answering(503, b"r-1"),
    "302": answering(302, b"r-1"),
    "empty": says(""),
    "a page": says("<html>r-1</html>"),
    "no UTF-8": answering(200, b"\xff"),
    "hung up": hang_up,
    "no HTTP": nonsense,
    "silence": silence,
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_is_no_answer_changes_nothing(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first answer nothing live is taken; after it that one holds."""
    short_s = 0.2 if answer is silence else 30
    async with running_peer(answer) as peer:
        rig = Rig(peer.url)
        monkeypatch.setattr(live_release, "TIMEOUT_S", short_s)
        assert not await rig.poll()
        monkeypatch.setattr(live_release, "TIMEOUT_S", 30)
        peer.answer = says("r-1")
        assert await rig.poll()
        monkeypatch.setattr(live_release, "TIMEOUT_S", short_s)
        peer.answer = answer
        assert await rig.poll()


async def test_nobody_there_is_no_answer() -> None:
    """A proxy that is away, or whose name is not known."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://proxy.invalid"):
        with pytest.raises(LiveReleaseUnknown):
            await ask_live_release(url)


@pytest.fixture
async def broken() -> Any:
    """A proxy that does not say."""
    async with running_peer(answering(503)) as peer:
        yield peer


async def test_not_knowing_is_told_while_messages_wait(broken: Peer) -> None:
    """Once a minute, with why; not while nothing waits, nor while Redis does not say."""
    rig = Rig(broken.url)
    for waiting in (0, -1, 7, 7):
        rig.waiting = waiting
        await rig.poll()
    assert rig.errors() == ["HTTP 503"]
    (line,) = rig.logs.entries
    assert line["event"].startswith("Which release is live is not known")
    assert (line["waiting"], line["takes"]) == (7, False)
    rig.now_s += LOG_INTERVAL_S
    await rig.poll()
    assert len(rig.errors()) == 2


async def test_an_answer_grows_old(broken: Peer) -> None:
    """For a few seconds nobody is alarmed; then it is not known any more, although it still holds."""
    rig = Rig(broken.url)
    rig.waiting = 1
    broken.answer, refusal = says("r-1"), broken.answer
    await rig.poll()
    broken.answer = refusal
    rig.now_s += UNKNOWN_AFTER_S / 2
    assert (await rig.poll(), rig.known, rig.errors()) == (True, 1, [])
    rig.now_s += UNKNOWN_AFTER_S
    assert (await rig.poll(), rig.known, rig.errors()) == (True, 0, ["HTTP 503"])


@pytest.mark.parametrize(("url", "release"), [(None, "r-1"), ("http://127.0.0.1:1", ""), (None, "")])
async def test_worker_that_was_started_bare_is_live(url: str | None, release: str) -> None:
    """Without a proxy to ask, or a release to ask for, nobody is asked."""
    rig = Rig(url, release)
    await rig.live.watch_forever(cast(Store, rig))  # returns at once
    assert (rig.live.is_ours, rig.known) == (True, 1)
