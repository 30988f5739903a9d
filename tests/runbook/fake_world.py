"""A stack that goes its way while it is watched, as proxy, engine, workers and Redis would show it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.proxy_control import Counters
from runbook.monitor import Observation, Queue, Sends, Webhooks

EACH_S = 5.0
_WEIGHT = 512
"""Of HAProxy's mean, as measured on one: an answer counts for less with each that comes after it."""


@dataclass(frozen=True)
class Interval:
    """The seconds before one observation.

    `answers` of which `errors` are 5xx (for `full` of these its processes count that Redis or the queue is
    full) and `refused` 4xx (`refused_webhooks` of these had a signature), each after `time_ms`. `taken`:
    messages that workers took; `waits_s`: for how long one has waited that none took, None if none waits.
    `sent`, `send_refused`, `unavailable`, `unanswered` and `failed`: what came of first attempts. `replied`:
    those that have a reply, None for those sent. `is_reloaded`: the proxy began to count anew. `seen` is what
    else was observed, or None for what could not be.
    """

    answers: int = 50
    errors: int = 0
    full: int = 0
    refused: int = 0
    refused_webhooks: int = 0
    time_ms: int = 5
    slowest_ms: int | None = None
    taken: int = 40
    waits_s: float | None = None
    sent: int = 40
    send_refused: int = 0
    unavailable: int = 0
    unanswered: int = 0
    failed: int = 0
    replied: int | None = None
    is_reloaded: bool = False
    seen: dict[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """Observations, one for each of *intervals*; after the last one it goes on well."""

    intervals: Iterable[Interval]
    now: float = 100.0
    observed: int = 0

    def __post_init__(self) -> None:
        self._intervals = iter(self.intervals)
        self._mean_ms = 0.0
        self._requests = self._errors = self._refused = self._slowest = self._taken = 0
        self._sends, self._webhooks = Sends(), Webhooks()
        self._go_on(Interval(answers=1000))

    def observe(self) -> Observation:
        """The next one."""
        now = next(self._intervals, Interval())
        self._go_on(now)
        self.observed += 1
        waits_since = None if now.waits_s is None else int(1000 * (self.now - now.waits_s))
        seen: dict[str, Any] = {
            "release": "r-2",
            "counters": self._counters(),
            "dependencies_up": True,
            "restarts": 0,
            "memory_share": 0.4,
            "queue": Queue(f"{self._taken}-0", waits_since),
            "sends": self._sends,
            "webhooks": self._webhooks,
        }
        return Observation(at_s=self.now, **{**seen, **now.seen})

    def sleep(self, seconds: float) -> None:
        """Time passes only so."""
        self.now += seconds

    def _go_on(self, now: Interval) -> None:
        if now.is_reloaded:
            self._requests = self._errors = self._refused = self._slowest = 0
        for _ in range(now.answers):
            self._requests += 1
            self._mean_ms += (now.time_ms - self._mean_ms) / min(self._requests, _WEIGHT)
        self._errors += now.errors
        self._refused += now.refused
        slowest = now.time_ms if now.slowest_ms is None else now.slowest_ms
        self._slowest = max(self._slowest, slowest if now.answers else 0)
        self._taken += now.taken
        self._webhooks = Webhooks(
            self._webhooks.taken + now.answers - now.errors - now.refused,
            self._webhooks.refused + now.refused_webhooks,
            self._webhooks.full + now.full,
        )
        before = self._sends
        self._sends = Sends(
            before.sent + now.sent,
            before.refused + now.send_refused,
            before.unavailable + now.unavailable,
            before.unanswered + now.unanswered,
            before.failed + now.failed,
            before.replied + (now.sent if now.replied is None else now.replied),
        )

    def _counters(self) -> Counters:
        """As HAProxy tells them, in whole milliseconds."""
        return Counters(self._requests, self._errors, round(self._mean_ms), self._slowest, self._refused)


class ForEver:
    """Intervals one after the other, the last one again and again; with `cycle` all of them."""

    def __init__(self, *intervals: Interval, cycle: bool = False) -> None:
        self._intervals, self._cycle = intervals, cycle

    def __iter__(self) -> Iterator[Interval]:
        again = self._intervals if self._cycle else self._intervals[-1:]
        return itertools.chain(self._intervals, itertools.cycle(again))
