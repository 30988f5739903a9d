"""A backlog that a web process took, answered by one worker through a WAHA that answers at once."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import redis as blocking_redis

from benchmarks.errors import BenchError
from benchmarks.load import Generator
from benchmarks.processor_time import ProcessorTime
from benchmarks.programs import Program
from benchmarks.progress import Say
from benchmarks.report import Drain, ReplyCounts
from benchmarks.servers import STREAM, data_folder, redis_server, redis_url, web_process
from benchmarks.sizes import Sizes
from benchmarks.worker_servers import instant_waha, worker_process

STALL_S = 60.0
"""A worker that answers nothing for this long will not answer the rest either."""

_POLL_INTERVAL_S = 0.25
_TOLD_EACH_S = 10.0


def measure_drain(within: Path, sizes: Sizes, say: Say) -> Drain:
    """Fill the stream, then time the worker from its first reply to its last."""
    with data_folder(within) as folder, redis_server(folder) as redis:
        with web_process(folder, redis) as web:
            Generator(web.port, [web, redis]).count(sizes.backlog)
        say(f"worker: {sizes.backlog:,} messages wait")
        with instant_waha(folder) as waha, worker_process(folder, redis, waha) as worker:
            processor_time = ProcessorTime([worker, redis, waha])
            _wait_for(1, waha, say)
            processor_time.begin()
            _wait_for(sizes.backlog, waha, say)
            processor_time.end()
            _wait_until_empty(redis)
            return summary(sizes.backlog, ask_counts(waha), processor_time.shares())


def summary(messages: int, counts: ReplyCounts, cpu: dict[str, float]) -> Drain:
    """What the stand-in counted comes to.

    Raises:
        BenchError: not every message was answered exactly once.
    """
    if (counts.answered, counts.sent) != (messages, messages):
        raise BenchError(
            f"{messages} messages waited, {counts.answered} were answered, with {counts.sent} replies",
            "a worker that loses or doubles messages has no speed",
        )
    seconds = counts.last_at - counts.first_at
    return Drain(
        messages=messages,
        requests=counts.requests,
        seconds=seconds,
        per_second=(messages - 1) / seconds,  # the first one starts the clock
        cpu=cpu,
    )


def ask_counts(waha: Program) -> ReplyCounts:
    """What the stand-in has counted so far."""
    answer = httpx.get(f"http://127.0.0.1:{waha.port}/counts", trust_env=False)
    return ReplyCounts.model_validate_json(answer.content)


def _wait_for(messages: int, waha: Program, say: Say) -> None:
    """Wait until so many *messages* are answered.

    Raises:
        BenchError: for a long time none was.
    """
    answered, moved_at, told_at = -1, 0.0, time.monotonic()
    while answered < messages:
        now, before, answered = time.monotonic(), answered, ask_counts(waha).answered
        if answered != before:
            moved_at = now
        if now - moved_at > STALL_S:
            raise BenchError(
                f"the worker stopped at {answered} of {messages} messages", "its log would say why"
            )
        if now - told_at > _TOLD_EACH_S:
            say(f"worker: {answered:,} messages answered")
            told_at = now
        time.sleep(_POLL_INTERVAL_S)


def _wait_until_empty(redis: Program) -> None:
    """Wait until no message is left that could be answered once more."""
    deadline = time.monotonic() + STALL_S
    with blocking_redis.Redis.from_url(redis_url(redis)) as client:
        while left := client.xlen(STREAM):
            if time.monotonic() > deadline:
                raise BenchError(f"{left} answered messages are still in the stream", "its log would say why")
            time.sleep(_POLL_INTERVAL_S)
