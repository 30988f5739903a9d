"""What the benchmarks found. Memory is in MB of 10^6 bytes, `cpu` in shares of one core."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from benchmarks.sizes import Sizes
from contracts.verdict import Check

Side = Literal["reference", "tuned", "ours"]
"""`reference`: as `pip install fastapi uvicorn redis` runs it; `tuned`: its code on the packages of ours."""
SIDES: tuple[Side, ...] = ("reference", "tuned", "ours")


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True)


class Machine(_Figures):
    """Where it was measured. `sync_ms`: the median time to bring a write of 4 kB to the disk."""

    cores: int
    cpu: str
    memory_mb: int
    kernel: str
    file_system: str
    sync_ms: float
    versions: dict[str, str]
    commit: str


class Load(_Figures):
    """What the generator measured at one server.

    `statuses` counts every answer, those of the warm-up too; `cpu` is the share of one core that each process
    had, and `others` what the rest of the machine used meanwhile.
    """

    seconds: float
    answered: int
    per_second: float
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    cpu: dict[str, float]


class PacedLoad(Load):
    """A load at a fixed `rate` per second, timed from when each was due; `late`: sent well after that."""

    rate: float
    late: int
    late_after_ms: float
    worst_late_ms: float


class Webhooks(_Figures):
    """Closed loop. `per_second` is each side's median; the ratios are ours to the others, round by round."""

    connections: int
    rounds: dict[Side, list[Load]]
    per_second: dict[Side, float]
    ratio: float
    ratio_range: tuple[float, float]
    tuned_ratio: float


class Latency(_Figures):
    """Open loop at half of what each side takes; `latency_ms` is each percentile's median over the rounds."""

    rounds: dict[Side, list[PacedLoad]]
    latency_ms: dict[Side, dict[str, float]]


class MemorySample(_Figures):
    """The web process's memory after so many webhooks: all that is resident, and what is its own."""

    webhooks: int
    rss_mb: float
    uss_mb: float


class Course(_Figures):
    """One kind of memory from a tenth of the webhooks on; `slope` in MB per 100,000 webhooks."""

    at_tenth: float
    median: float
    last: float
    peak: float
    slope: float


class Memory(_Figures):
    """The web process's memory over many webhooks."""

    load: Load
    rss_mb: Course
    uss_mb: Course
    samples: list[MemorySample]


class ReplyCounts(_Figures):
    """Messages `answered`, replies `sent`, all `requests`; times in s since the epoch."""

    answered: int
    sent: int
    requests: int
    first_at: float
    last_at: float


class Drain(_Figures):
    """A backlog answered by one worker process; `seconds` is from the first reply to the last."""

    messages: int
    requests: int
    seconds: float
    per_second: float
    cpu: dict[str, float]


LogSide = Literal["jq", "ours"]


class LogQuery(_Figures):
    """A question to log lines; each round's seconds, a program's start included. `found`: the answer."""

    lines: int
    megabytes: float
    rounds: dict[LogSide, list[float]]
    median_s: dict[LogSide, float]
    ratio: float
    ratio_range: tuple[float, float]
    found: int


class BenchReport(_Figures):
    """A whole run; parts that were left out are null."""

    began: str
    sizes: Sizes
    machine: Machine
    webhooks: Webhooks | None = None
    latency: Latency | None = None
    memory: Memory | None = None
    worker: Drain | None = None
    logs: LogQuery | None = None
    checks: list[Check] = []
