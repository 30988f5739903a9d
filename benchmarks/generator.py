"""The generator's process: `python -m benchmarks.generator closed|open|count --port PORT ...`.

It prints JSON lines: `measuring` when the clock starts, `progress` while it counts, `measured` when the clock
stops, and last `result` with the figures. Anything that answers webhooks on loopback may be measured with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import uvloop

from benchmarks.closed_loop import ClosedLoop
from benchmarks.open_loop import LATE_S, OpenLoop
from benchmarks.presigned import unique_requests
from benchmarks.tally import Tally

ANSWER_TIMEOUT_S = 15.0
"""What is not answered this long after the last request never will be: WAHA gives up after 8 s."""

STEPS = 100
"""How often progress is told."""

SPARE = 2
"""More is prepared than the warm-up's speed asks for, since the warm-up signs as it sends."""

NO_LIMIT_S = 86_400.0

Options = argparse.Namespace
Figures = dict[str, Any]


async def measure_closed(options: Options) -> Figures:
    """As many as are answered in a span of time."""
    warm_up, rate = await _warm_up(options)
    loop = ClosedLoop(_prepared(int(rate * options.seconds * SPARE) + options.connections))
    await loop.begin(options.port, options.connections)
    _tell("measuring")
    with contextlib.suppress(TimeoutError):  # it ends before its time only if it used up what was prepared
        await loop.end(options.seconds)
    result = loop.tally.result()
    _tell("measured")
    await loop.stop(ANSWER_TIMEOUT_S)
    return result | _statuses(warm_up, loop.tally)


async def measure_open(options: Options) -> Figures:
    """The latencies at a fixed rate."""
    warm_up, _ = await _warm_up(options)
    count = int(options.rate * options.seconds)
    loop = OpenLoop(_prepared(count), count=count, rate=options.rate)
    await loop.begin(options.port, options.connections)
    _tell("measuring")
    await loop.end(options.seconds + ANSWER_TIMEOUT_S)
    result = loop.tally.result()
    _tell("measured")
    late = {"late": loop.late, "late_after_ms": LATE_S * 1000, "worst_late_ms": loop.worst_late_s * 1000}
    return result | _statuses(warm_up, loop.tally) | {"rate": options.rate, **late}


async def measure_count(options: Options) -> Figures:
    """A number of webhooks, however many: each is signed as it is sent."""
    step = max(1, options.count // STEPS)

    def tell(answered: int) -> None:
        if answered % step == 0:
            _tell("progress", answered=answered)

    loop = ClosedLoop(islice(unique_requests(), options.count), tell)
    await loop.begin(options.port, options.connections)
    _tell("measuring")
    await loop.end(NO_LIMIT_S)
    result = loop.tally.result()
    _tell("measured")
    return result | _statuses(loop.tally)


async def _warm_up(options: Options) -> tuple[Tally, float]:
    """What the warm-up counted, and how many it had answered per second."""
    loop = ClosedLoop(unique_requests())
    await loop.begin(options.port, options.connections)
    await asyncio.sleep(options.warm_up)
    rate = loop.tally.result()["per_second"]
    await loop.stop(ANSWER_TIMEOUT_S)
    return loop.tally, rate


def _prepared(count: int) -> Iterator[bytes]:
    """*count* requests, made now; they are none of the garbage collector's business."""
    requests = list(islice(unique_requests(), count))
    gc.collect()
    gc.freeze()
    return iter(requests)


def _statuses(*tallies: Tally) -> Figures:
    """How often each status came, the warm-up and the last answers included."""
    every = sum((tally.statuses for tally in tallies[1:]), tallies[0].statuses)
    return {"statuses": {str(status): count for status, count in sorted(every.items())}}


def _tell(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator", description=__doc__)
    parser.add_argument("shape", choices=list(_SHAPES))
    parser.add_argument("--port", type=int, required=True, help="where to, on loopback")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10, help="closed, open: how long")
    parser.add_argument(
        "--warm-up", type=float, default=2, help="closed, open: seconds before the clock starts"
    )
    parser.add_argument("--rate", type=float, default=1000, help="open: webhooks per second")
    parser.add_argument("--count", type=int, default=10_000, help="count: webhooks in all")
    return parser.parse_args()


_SHAPES = {"closed": measure_closed, "open": measure_open, "count": measure_count}


def main() -> None:
    """Measure, and print what was found."""
    options = _options()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            _tell("result", **runner.run(_SHAPES[options.shape](options)))
        except (OSError, TimeoutError) as error:
            reason = "webhooks were not answered in time" if isinstance(error, TimeoutError) else str(error)
            _tell("failed", reason=reason)
            sys.exit(1)


if __name__ == "__main__":
    main()
