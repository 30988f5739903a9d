"""Admit a message to its lane's stream: rate limit, claim and enqueue in one atomic Redis step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.lanes import Lane
from service.rejected import QueueFull, RateLimited, Unavailable

FULL_RETRY_AFTER_S = 5
AWAY_RETRY_AFTER_S = 2

_SCRIPT = Path(__file__).with_name("lua") / "admit.lua"


class Admitted(StrEnum):
    """What became of a message that is not refused."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Arrival:
    """A verified message as it arrived. `body`: the event's bytes as sent; `received_ms`: since the epoch."""

    body: bytes
    identity: str
    chat: str
    address: str
    request_id: str
    received_ms: int


class Admission(Protocol):
    """Takes each message once (Redis in production, a dictionary in unit tests)."""

    async def admit(self, arrival: Arrival, lane: Lane) -> Admitted:
        """Claim and enqueue, or neither.

        Raises:
            RateLimited, QueueFull: it was not taken.
            Unavailable: it may or may not have been taken; asking again is safe.
        """


class RedisAdmission:
    """Admission onto Redis Streams."""

    def __init__(self, redis: Redis, *, per_minute: int, max_length: int, timeout_s: float) -> None:
        self._per_minute = per_minute
        self._max_length = max_length
        self._timeout_s = timeout_s
        self._script = redis.register_script(_SCRIPT.read_bytes())

    async def admit(self, arrival: Arrival, lane: Lane) -> Admitted:
        """See `Admission.admit`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                outcome, detail = await self._run(arrival, lane)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("the queue cannot be reached", retry_after_s=AWAY_RETRY_AFTER_S) from error
        if outcome == b"limited":
            wait_s = -(-int(detail) // 1000)
            raise RateLimited("too many webhooks from this address", retry_after_s=wait_s)
        if outcome == b"full":
            raise QueueFull("too many messages are waiting", retry_after_s=FULL_RETRY_AFTER_S)
        return Admitted(outcome.decode())

    async def _run(self, arrival: Arrival, lane: Lane) -> tuple[bytes, bytes]:
        keys = [
            lane.rate(arrival.address),
            lane.claim(arrival.identity),
            lane.stream,
            lane.turn(arrival.chat),
        ]
        limits = [self._per_minute, self._max_length, lane.claim_ttl_s, lane.turn_ttl_s, lane.lane_ttl_s]
        outcome, detail = await self._script(keys, [*limits, *_fields(arrival, lane)])
        return outcome, detail


def _fields(arrival: Arrival, lane: Lane) -> list[bytes | str | int]:
    """The stream entry: field and value by turns."""
    return [
        "event",
        arrival.body,
        "requestId",
        arrival.request_id,
        "lane",
        lane.name.value,
        "received",
        arrival.received_ms,
        "chat",
        arrival.chat,
    ]
