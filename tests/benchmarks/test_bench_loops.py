"""The two loops of the generator: what they send, and what they count."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest
from scripted_server import scripted_server

from benchmarks.closed_loop import ClosedLoop
from benchmarks.connection import LOST
from benchmarks.open_loop import LATE_S, OpenLoop

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
TIMEOUT_S = 10.0
STALL_S = 0.1


async def accept(_number: int) -> int:
    """Answer 202."""
    return 202


async def stall_at_first(number: int) -> int:
    """Answer the first request late, all others at once."""
    if number == 0:
        await asyncio.sleep(STALL_S)
    return 202


class TestClosedLoop:
    """As many as are answered."""

    async def test_every_request_is_sent_and_counted_once(self) -> None:
        """It ends when the requests are used up and the last one is answered."""
        told: list[int] = []
        loop = ClosedLoop(repeat(REQUEST, 50), told.append)
        async with scripted_server(accept) as port:
            await loop.begin(port, 4)
            await loop.end(TIMEOUT_S)
        assert loop.tally.statuses == {202: 50}
        assert told == list(range(1, 51))

    async def test_each_status_is_counted(self) -> None:
        """Those of refusals too, after which it goes on."""

        async def refuse_each_third(number: int) -> int:
            return 503 if number % 3 == 0 else 202

        loop = ClosedLoop(repeat(REQUEST, 30))
        async with scripted_server(refuse_each_third) as port:
            await loop.begin(port, 2)
            await loop.end(TIMEOUT_S)
        assert loop.tally.statuses == {202: 20, 503: 10}

    async def test_an_answer_that_never_comes_is_counted(self) -> None:
        """A connection that the server ends is a lost answer; the others go on."""

        async def hang_up_once(number: int) -> int:
            return 0 if number == 3 else 202

        loop = ClosedLoop(repeat(REQUEST, 20))
        async with scripted_server(hang_up_once) as port:
            await loop.begin(port, 2)
            await loop.end(TIMEOUT_S)
        assert loop.tally.statuses == {202: 19, LOST: 1}

    async def test_stopped_it_awaits_what_is_in_flight(self) -> None:
        """Nothing more is sent, nothing that was sent stays uncounted."""
        sent = 0

        async def count(_number: int) -> int:
            nonlocal sent
            sent += 1
            return 202

        loop = ClosedLoop(repeat(REQUEST))
        async with scripted_server(count) as port:
            await loop.begin(port, 4)
            await loop.stop(TIMEOUT_S)
        assert loop.tally.statuses == {202: sent}


class TestOpenLoop:
    """At a fixed rate."""

    async def test_a_wait_for_a_connection_counts(self) -> None:
        """A stall shows in the requests that were due during it, not only in the one that it hit."""
        loop = OpenLoop(repeat(REQUEST), count=20, rate=400)  # all are due within half of the stall
        async with scripted_server(stall_at_first) as port:
            await loop.begin(port, 1)
            await loop.end(TIMEOUT_S)
        assert loop.tally.statuses == {202: 20}
        assert min(loop.tally.latencies_s) > STALL_S / 2 - 0.01

    async def test_late_requests_are_reported(self) -> None:
        """All but the first had to wait; the one that was due first, the longest."""
        loop = OpenLoop(repeat(REQUEST), count=20, rate=400)
        async with scripted_server(stall_at_first) as port:
            await loop.begin(port, 1)
            await loop.end(TIMEOUT_S)
        assert loop.late >= 19
        assert loop.worst_late_s > LATE_S

    async def test_requests_are_not_sent_before_they_are_due(self) -> None:
        """The last of them is answered no sooner than the rate lets it be sent."""
        loop = OpenLoop(repeat(REQUEST), count=11, rate=100)
        async with scripted_server(accept) as port:
            await loop.begin(port, 4)
            await loop.end(TIMEOUT_S)
        assert loop.tally.result()["seconds"] >= 0.1

    async def test_what_nobody_answers_ends_it(self) -> None:
        """When all connections are lost, what is due cannot be sent: that is a failure and no result."""

        async def hang_up(_number: int) -> int:
            return 0

        loop = OpenLoop(repeat(REQUEST), count=10, rate=1000)
        async with scripted_server(hang_up) as port:
            await loop.begin(port, 1)
            with pytest.raises(TimeoutError):
                await loop.end(0.2)
