"""What a plot over time needs: a line for each second of intended send time, in each scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel

from loadtests.book import Book
from loadtests.percentile import percentile


class Second(BaseModel):
    """What became of the webhooks that were due in one second.

    Times are in ms from the intended send time, null where there is none: `p50_ms`, `p95_ms` and `max_ms`
    until the answer or until it was given up, `reply_p95_ms` until the reply, `baseline_*` the live one's.

    Attributes:
        t: seconds since the start.
        sent: how many were sent; `failed`: of those and of the unsent, how many had no right answer.
    """

    t: int
    sent: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None
    reply_p95_ms: float | None
    baseline_p50_ms: float | None
    baseline_p95_ms: float | None
    baseline_max_ms: float | None


class ScenarioSeries(BaseModel):
    """One scenario. `start`: when its first webhook was due."""

    name: str
    start: datetime
    seconds: list[Second]


class Series(BaseModel):
    """All scenarios that were begun, in their order."""

    scenarios: list[ScenarioSeries]


def series_of(name: str, start_epoch_s: float, book: Book, live: Book | None) -> ScenarioSeries:
    """The series of one scenario, from second 0 to the last in which a webhook was due."""
    sent, failed, took_s = _by_second(book)
    baseline_s = _by_second(live)[2] if live is not None else {}
    replies_s = defaultdict[int, list[float]](list)
    for reply in book.replies():
        replies_s[int(reply.due_s)].append(reply.took_s)
    seconds = [
        Second(
            t=second,
            sent=sent[second],
            failed=failed[second],
            **_figures("", took_s.get(second, [])),
            reply_p95_ms=_ms(replies_s[second], 0.95),
            **_figures("baseline_", baseline_s.get(second, [])),
        )
        for second in range(max(sent.keys() | failed.keys(), default=-1) + 1)
    ]
    return ScenarioSeries(name=name, start=datetime.fromtimestamp(start_epoch_s, UTC), seconds=seconds)


def _by_second(book: Book) -> tuple[dict[int, int], dict[int, int], dict[int, list[float]]]:
    """How many were sent and failed in each second, and the times of those that were sent."""
    sent, failed = defaultdict[int, int](int), defaultdict[int, int](int)
    took = defaultdict[int, list[float]](list)
    for due_s, took_s, did_fail in book.outcomes():
        second = int(due_s)
        failed[second] += did_fail
        if took_s is not None:
            sent[second] += 1
            took[second].append(took_s)
    return sent, failed, took


def _figures(prefix: str, took_s: Iterable[float]) -> dict[str, float | None]:
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "max_ms": 1.0}
    return {f"{prefix}{name}": _ms(took_s, share) for name, share in shares.items()}


def _ms(took_s: Iterable[float], share: float) -> float | None:
    found = percentile(list(took_s), share)
    return None if found is None else round(found * 1000, 3)
