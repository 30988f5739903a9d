"""The web process's memory over many webhooks: a leak shows as a slope."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import redis as blocking_redis
from scipy.stats import linregress

from benchmarks.errors import BenchError
from benchmarks.load import Generator
from benchmarks.programs import Program
from benchmarks.progress import Say
from benchmarks.report import Course, Load, Memory, MemorySample
from benchmarks.servers import STREAM, data_folder, redis_url, service
from benchmarks.sizes import Sizes

_MB = 1e6
_SLOPE_PER = 100_000
_TOLD_EACH = 10
"""One of so many samples is told."""


def measure_memory(within: Path, sizes: Sizes, say: Say) -> Memory:
    """A hundred samples over the run; the stream is emptied at each, in the workers' stead."""
    samples: list[MemorySample] = []
    with (
        data_folder(within) as folder,
        service(folder) as served,
        blocking_redis.Redis.from_url(redis_url(served.redis)) as client,
    ):

        def look(webhooks: int) -> None:
            samples.append(_sample(served.web, webhooks))
            client.xtrim(STREAM, maxlen=0, approximate=False)
            if len(samples) % _TOLD_EACH == 0:
                say(f"memory after {webhooks:,} webhooks: {samples[-1].rss_mb:.1f} MB resident")

        generator = Generator(served.web.port, [served.web, served.redis])
        load = Load.model_validate(generator.count(sizes.memory_webhooks, look))
    return summary(load, samples)


def summary(load: Load, samples: Sequence[MemorySample]) -> Memory:
    """What *samples*, in order, come to.

    Raises:
        BenchError: they are too few for a slope.
    """
    warm = [sample for sample in samples if sample.webhooks * 10 >= samples[-1].webhooks] if samples else []
    if len(warm) < 2:
        raise BenchError(f"memory was seen {len(warm)} times after the warm-up", "have more webhooks sent")
    webhooks = [sample.webhooks for sample in warm]
    return Memory(
        load=load,
        rss_mb=course(webhooks, [sample.rss_mb for sample in warm]),
        uss_mb=course(webhooks, [sample.uss_mb for sample in warm]),
        samples=list(samples),
    )


def course(webhooks: Sequence[int], memory_mb: Sequence[float]) -> Course:
    """How *memory_mb* went with the number of *webhooks*, with the slope of the line through it."""
    return Course(
        at_tenth=memory_mb[0],
        median=statistics.median(memory_mb),
        last=memory_mb[-1],
        peak=max(memory_mb),
        slope=float(linregress(webhooks, memory_mb).slope) * _SLOPE_PER,
    )


def _sample(web: Program, webhooks: int) -> MemorySample:
    memory = psutil.Process(web.pid).memory_full_info()
    return MemorySample(webhooks=webhooks, rss_mb=memory.rss / _MB, uss_mb=memory.uss / _MB)
