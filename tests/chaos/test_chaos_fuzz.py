"""Any bytes at all: no 5xx, nobody left hanging, memory bounded, and a log in which nothing was planted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from chaos_form import SEED, sized
from chaos_fuzz import Fuzzed, requests
from chaos_fuzz_bodies import CANARY, MAX_BODY, NUMBER
from chaos_programs import Program
from chaos_rig import Rig, running_rig
from chaos_waiting import until
from chaos_wire import Wire
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

REQUESTS = sized(500, 100_000)
TOGETHER = 10
EMPTIED_EACH = 3_000
"""Accepted messages pile up in Redis, where no worker takes them."""

GROWTH_MB = 64
LINES_EACH = 4


ENVIRONMENT = {"MAX_BODY_BYTES": str(MAX_BODY), "BODY_TIMEOUT_S": "1", "MAX_STREAM_LENGTH": "1000000"}


class Conversation:
    """Talks to one web process over a connection that is opened again when the server has closed it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._wire: Wire | None = None
        self.statuses: Counter[int] = Counter()
        self.asked = 0
        self.signatures: list[str] = []

    def say(self, fuzzed: Fuzzed) -> int:
        """The status of the answer, 0 if there is none.

        What is whole must be answered; of what is not the server must let go when we do.
        """
        self.asked += 1
        self.signatures = [*self.signatures[-200:], fuzzed.signature]
        if self.asked % EMPTIED_EACH == 0:
            self._rig.redis.ask("FLUSHALL")
        wire, self._wire = self._wire or Wire(self._rig.port), None
        wire.send(*fuzzed.pieces)
        status = self._answered(wire) if fuzzed.whole else self._let_go(wire)
        self.statuses[status] += 1
        return status

    def _answered(self, wire: Wire) -> int:
        answer = wire.answer()
        if answer is None:  # the request before may have asked for the connection's end
            wire.close()
            return 0
        if answer.header("connection") == "close":
            self._end(wire)
        else:
            self._wire = wire
        return answer.status

    def _let_go(self, wire: Wire) -> int:
        rest = wire.end()
        wire.close()
        return int(rest[9:12] or b"0")

    def _end(self, wire: Wire) -> None:
        assert wire.end() == b"", "more than one answer to one request"
        wire.close()

    def close(self) -> None:
        """Hang up."""
        if self._wire:
            self._end(self._wire)
            self._wire = None


def converse(talk: Conversation, count: int) -> None:
    """Say *count* generated requests."""

    @seed(SEED + talk.asked)
    @settings(
        max_examples=-(-count // TOGETHER),
        database=None,
        phases=[Phase.generate],  # a request without an answer takes seconds: no time to make it small
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(requests(), min_size=TOGETHER, max_size=TOGETHER))
    def some(together: list[Fuzzed]) -> None:
        for fuzzed in together:
            try:
                status = talk.say(fuzzed)
            except TimeoutError:
                pytest.fail(f"neither answered nor hung up: {fuzzed}")
            assert status < 500, f"{status} to {fuzzed}"
        talk.close()

    some()


UNREAD = "Live messages wait and no worker takes any"


async def test_generated_requests(tmp_path: Path) -> None:
    """See above; a good part was accepted, so that it was not only the door that was tried."""
    async with running_rig(tmp_path, workers=0, web=ENVIRONMENT) as rig:
        web, talk = rig.webs[0], Conversation(rig)
        await asyncio.to_thread(converse, talk, REQUESTS // 5)
        before = web.memory_mb
        while talk.asked < REQUESTS:
            await asyncio.to_thread(converse, talk, REQUESTS - talk.asked)
        print(f"{talk.asked} requests: {dict(talk.statuses)}; memory {before:.0f} to {web.memory_mb:.0f} MB")
        assert web.memory_mb - before < GROWTH_MB
        assert web.lives == 1
        assert talk.statuses[202] > REQUESTS / 10
        await until(lambda: web.clients(rig.port) == 0, "connections are closed")
        check_log(rig, web, talk)


def check_log(rig: Rig, web: Program, talk: Conversation) -> None:
    """Each line is one JSON object, none an error, and nothing of what was planted is in any."""
    # There are no workers: after a minute that is said, which a slow machine has time for.
    lines = [line for line in rig.log_lines(web) if line["msg"] != UNREAD]
    assert [line for line in lines if line["level"] not in ("info", "warning")] == []
    assert len(lines) < LINES_EACH * talk.asked
    text = web.log.read_text(encoding="utf-8")
    for planted in (CANARY, NUMBER, "forged", "X-Injected", *filter(None, talk.signatures)):
        assert planted not in text
