"""What lies in a release's folder, file by file. Written by suites of any release, so read leniently.

`Release`           release.json: who deployed what, and what became of it
`LoadSeries`        load.series.json: each scenario, second by second of intended send time
`ContainersSeries`  containers.series.json: each container's memory over time
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contracts.verdict import Verdict

_LONGEST_S = 1e8  # three years; a time beyond it is no time of a run
_HIGHEST = 1e12


def _in_utc(time: datetime.datetime) -> datetime.datetime:
    """*time* in UTC; one without a zone is meant so."""
    try:
        return time.replace(tzinfo=time.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueError(f"{time} is not a time in UTC") from error


def plottable(value: float | None) -> float | None:
    """*value*, or None for what has no place on an axis: endless, not a number, below zero."""
    return value if value is not None and 0 <= value <= _HIGHEST else None


Moment = Annotated[datetime.datetime, AfterValidator(_in_utc)]
Reading = Annotated[float | None, AfterValidator(plottable)]
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_S)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Release(_Record):
    """What was deployed, from where, and how it ended. Times are UTC."""

    release: str
    verdict: Verdict
    outcome: Literal["live", "refused", "testing", "not judged"] | None = None
    stack: str | None = None
    at: Moment | None = None
    by: str | None = None
    commit: str | None = None
    branch: str | None = None
    dirty: bool = False
    behind: int | None = None
    image: str | None = None
    gate: str | None = None
    refusal: list[str] = Field(default_factory=list)
    live_before: str | None = None
    reason: str | None = None


class Second(_Record):
    """The webhooks that were due within the second at `t` s: counts, and answer and reply times in ms."""

    t: Seconds
    sent: Reading = None
    failed: Reading = None
    p50_ms: Reading = None
    p95_ms: Reading = None
    max_ms: Reading = None
    reply_p95_ms: Reading = None
    baseline_p50_ms: Reading = None
    baseline_p95_ms: Reading = None
    baseline_max_ms: Reading = None


class Scenario(_Record):
    """One scenario of the load suite."""

    name: str
    start: Moment | None = None
    seconds: list[Second]


class LoadSeries(_Record):
    """The scenarios in the order in which they ran."""

    scenarios: list[Scenario]


class Sample(_Record):
    """A container's memory in MB at `t` s."""

    t: Seconds
    memory_mb: Reading


class Container(_Record):
    """One container's memory over time; `limit_mb` is where the engine ends it."""

    name: str
    role: str
    samples: list[Sample]
    limit_mb: Reading = None


class ContainersSeries(_Record):
    """The containers that were watched."""

    containers: list[Container]
