"""The thresholds in `targets.toml`: typed, complete, and refused as a whole when one is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TARGETS_FILE = Path(__file__).resolve().parent.parent / "targets.toml"


class TargetsError(Exception):
    """`targets.toml` cannot be read or breaks a rule; the message names every problem, one a line."""


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


class Switch(_Section):
    """Limits of moving the traffic from one release to the next."""

    drain_s: float = Field(gt=0)


class Bench(_Section):
    """What `bench` holds the service's speed against."""

    times_reference: float = Field(gt=0)
    p99_ms: float = Field(gt=0)
    memory_growth: float = Field(ge=0)
    memory_growth_mb: float = Field(ge=0)
    worker_per_s: float = Field(gt=0)


class Targets(_Section):
    """All thresholds. One section of `targets.toml` each."""

    ready: Ready
    health: Health
    smoke: Smoke
    load: Load
    switch: Switch
    bench: Bench


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
