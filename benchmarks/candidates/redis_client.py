"""One Redis client at work: `python -m benchmarks.candidates.redis_client NAME URL` prints its figures.

A process of its own, which imports nothing of ours that imports redis: whether redis-py uses hiredis is
decided when it is imported.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvloop

from contracts.webhook import encode, message_event

SECONDS = 3.0
BATCH = 32

_BODY = encode(message_event("Where is my parcel? " * 9, chat_id="15551234567@c.us"))
_STREAM = "messages"

Step = Callable[[], Awaitable[int]]
"""Sends some commands and takes their answers; how many."""

Open = Callable[[str], AbstractAsyncContextManager[Step]]
"""Opens a client on a URL."""


@asynccontextmanager
async def _redis_py(url: str) -> AsyncIterator[Step]:
    async with importlib.import_module("redis.asyncio").Redis.from_url(url, protocol=2) as client:

        async def step() -> int:
            async with client.pipeline(transaction=False) as pipeline:
                for _ in range(BATCH):
                    pipeline.xadd(_STREAM, {"event": _BODY})
                return len(await pipeline.execute())

        yield step


def _redis_py_without_hiredis(url: str) -> AbstractAsyncContextManager[Step]:
    sys.modules["hiredis"] = None  # type: ignore[assignment]  # as if it were not installed
    return _redis_py(url)


@asynccontextmanager
async def _redis_py_one_by_one(url: str) -> AsyncIterator[Step]:
    async with importlib.import_module("redis.asyncio").Redis.from_url(url, protocol=2) as client:

        async def step() -> int:
            await client.xadd(_STREAM, {"event": _BODY})
            return 1

        yield step


@asynccontextmanager
async def _coredis(url: str) -> AsyncIterator[Step]:
    async with importlib.import_module("coredis").Redis.from_url(url) as client:

        async def step() -> int:
            async with client.pipeline(transaction=False) as pipeline:
                for _ in range(BATCH):
                    pipeline.xadd(_STREAM, field_values={"event": _BODY})
            return BATCH

        yield step


CLIENTS: dict[str, tuple[tuple[str, ...], Open]] = {
    "redis-py, hiredis": (("redis", "hiredis"), _redis_py),
    "redis-py without hiredis": (("redis",), _redis_py_without_hiredis),
    "redis-py, hiredis, one await each": (("redis", "hiredis"), _redis_py_one_by_one),
    "coredis": (("coredis",), _coredis),
}
"""The packages that each needs, and how it is opened on a URL."""


async def measure(name: str, url: str) -> tuple[float, float]:
    """Commands per second, and microseconds of our own processor time for each."""
    async with CLIENTS[name][1](url) as step:
        await step()
        began, cpu_began, commands = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < SECONDS:
            commands += await step()
    return commands / (time.perf_counter() - began), (time.process_time() - cpu_began) / commands * 1e6


def main() -> None:
    """Measure the one named."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(sys.argv[1], sys.argv[2]))))


if __name__ == "__main__":
    main()
