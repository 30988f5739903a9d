"""The thresholds in `targets.toml`: typed, complete, and refused as a whole when one is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from contracts.errors import TargetsError

__all__ = ["TARGETS_FILE", "Bench", "Targets", "TargetsError", "read_targets"]

TARGETS_FILE = Path(__file__).resolve().parent.parent / "targets.toml"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Ready(_Section):
    """How long a new release may take until it answers."""

    within_s: float = Field(gt=0)


class Health(_Section):
    """Limits of `GET /api/health`."""

    answer_s: float = Field(gt=0)
    tells_within_s: float = Field(gt=0)


class Smoke(_Section):
    """Limits of the smoke suite."""

    answer_s: float = Field(gt=0)
    reply_within_s: float = Field(gt=0)
    settle_s: float = Field(gt=0)


class Load(_Section):
    """Shape and limits of the load gate."""

    rate_per_s: float = Field(gt=0, le=10_000)
    warmup_s: float = Field(ge=0)
    duration_s: float = Field(gt=0)
    answer_timeout_s: float = Field(gt=0)
    error_rate: float = Field(ge=0, lt=1)
    webhook_p95_ms: float = Field(gt=0)
    reply_p95_ms: float = Field(gt=0)
    reply_within_s: float = Field(gt=0)
    min_samples: int = Field(ge=59)
    min_achieved: float = Field(gt=0, le=1)
    late_ms: float = Field(gt=0)
    slowest_ms: float = Field(gt=0)
    max_generator_cpu: float = Field(gt=0, le=1)


class Compare(_Section):
    """When a candidate is too slow beside the live release."""

    max_slowdown: float = Field(ge=1)
    confidence: float = Field(ge=0.5, lt=1)
    block_s: float = Field(gt=0)
    min_blocks: int = Field(ge=8)


class Rollout(_Section):
    """Limits of moving the traffic from one release to the next.

    `steps`: per cent of the requests that go to the new release, one step after the other, up to 100.
    """

    steps: list[int] = Field(min_length=1)
    step_s: float = Field(ge=0)
    within_s: float = Field(gt=0)
    min_samples: int = Field(ge=1)
    error_rate: float = Field(ge=0, lt=1)
    refused_share: float = Field(ge=0, lt=1)
    mean_ms: float = Field(gt=0)
    slowest_ms: float = Field(gt=0)
    quiet: Literal["promote", "refuse"]
    drain_s: float = Field(gt=0)

    @field_validator("within_s")
    @classmethod
    def _lease_ends_within_a_minute(cls, within_s: float) -> float:
        """A canary's share lasts as long as its step may: one whose deployer died has to end soon."""
        if within_s > 45:
            raise ValueError("should be at most 45: a step's share of the traffic is leased for so long")
        return within_s

    @field_validator("steps")
    @classmethod
    def _ascend_to_all(cls, steps: list[int]) -> list[int]:
        if steps != sorted(set(steps)) or steps[0] < 1 or steps[-1] != 100:
            raise ValueError("should ascend and end at 100")
        return steps


class Containers(_Section):
    """What the containers of a release may not do while it is tried."""

    memory_mb_per_s: float = Field(gt=0)
    memory_window_s: float = Field(gt=0)
    restarts: int = Field(ge=0)


class Silence(_Section):
    """How long alerts may be silent for a deployment."""

    for_s: float = Field(gt=0)


class Watch(_Section):
    """How a release that just went live is watched, and what takes it out of traffic again.

    Its answers are judged by the limits of `Rollout`.
    """

    after_up_s: float = Field(ge=0)
    after_hotfix_s: float = Field(ge=0)
    each_s: float = Field(gt=0)
    window_s: float = Field(gt=0)
    failures: int = Field(ge=1)
    memory_share: float = Field(gt=0, le=1)
    queue_stuck_s: float = Field(gt=0)

    @model_validator(mode="after")
    def _lasts_long_enough(self) -> Self:
        """A watch that ends before it could find anything wrong is none; 0 is a deliberate choice."""
        least_s = self.queue_stuck_s + self.failures * self.each_s
        for name in ("after_up_s", "after_hotfix_s"):
            for_s = getattr(self, name)
            if 0 < for_s < least_s:
                raise ValueError(
                    f"{name} should be 0 or at least {least_s:g} (queue_stuck_s, and {self.failures} times "
                    f"each_s), got {for_s:g}"
                )
        return self


class Gate(_Section):
    """What a release is put through."""

    scenarios: list[str] = Field(min_length=1)
    within_s: float = Field(gt=0)


class Monitor(_Section):
    """What alerts; shares are of 1, counts of live traffic only."""

    probe_each_s: float = Field(ge=2)
    probe_failures: int = Field(ge=1)
    scrape_each_s: float = Field(ge=1)
    window_s: float = Field(gt=0)
    min_requests: int = Field(ge=1)
    min_errors: int = Field(ge=1)
    error_rate: float = Field(gt=0, lt=1)
    outage_error_rate: float = Field(gt=0, lt=1)
    outage_answer_s: float = Field(gt=0)
    cpu: float = Field(gt=0, lt=1)
    memory: float = Field(gt=0, lt=1)
    disk: float = Field(gt=0, lt=1)
    database_p95_ms: float = Field(gt=0)
    redis_clients: float = Field(gt=0, lt=1)
    queue_age_s: float = Field(gt=0)
    failed_webhooks: float = Field(gt=0, lt=1)
    signature_failures_per_min: float = Field(gt=0)
    rate_limited_per_min: float = Field(gt=0)
    invalid_per_min: float = Field(gt=0)
    quiet_s: float = Field(gt=0)
    quiet_before_s: float = Field(gt=0)
    quiet_min_messages: int = Field(ge=1)

    @model_validator(mode="after")
    def _has_samples(self) -> Self:
        """A rate needs two samples, and a lost one should not blind it."""
        if self.window_s < 4 * self.scrape_each_s:
            raise ValueError(
                f"window_s should be at least {4 * self.scrape_each_s:g}, four times scrape_each_s, "
                f"got {self.window_s:g}"
            )
        return self


class Images(_Section):
    """How old the base images may become before `up` speaks of it."""

    old_after_days: int = Field(ge=1)


class Bench(_Section):
    """What `bench` holds the service's speed against."""

    times_reference: float = Field(gt=0)
    p99_ms: float = Field(gt=0)
    memory_growth: float = Field(ge=0)
    memory_growth_mb: float = Field(ge=0)
    worker_per_s: float = Field(gt=0)
    times_jq: float = Field(gt=0)


class Targets(_Section):
    """All thresholds. One section of `targets.toml` each."""

    ready: Ready
    health: Health
    smoke: Smoke
    load: Load
    compare: Compare
    rollout: Rollout
    silence: Silence
    watch: Watch
    containers: Containers
    gate: Gate
    monitor: Monitor
    images: Images
    bench: Bench

    @field_validator("gate")
    @classmethod
    def _can_end(cls, gate: Gate, info: ValidationInfo) -> Gate:
        """A gate that is given less time than its load takes would refuse every release."""
        load = info.data.get("load")
        if load is None:  # it is wrong itself, and said so
            return gate
        least_s = len(gate.scenarios) * (load.warmup_s + load.duration_s + load.reply_within_s)
        if gate.within_s < least_s:
            raise ValueError(f"within_s should be at least {least_s:g}, which [load] may take")
        return gate


def read_targets(path: Path = TARGETS_FILE) -> Targets:
    """Read and validate the file at *path*.

    Raises:
        TargetsError: one line for each problem, with its key and value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return Targets.model_validate(raw)
    except OSError as error:
        raise TargetsError(f"{path.name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetsError(f"{path.name}: is not TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"{path.name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}, got {problem['input']!r}"
            for problem in error.errors()
        ]
        raise TargetsError("\n".join(lines)) from error
