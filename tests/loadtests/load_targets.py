"""Short limits for the tests of the load gate, as a `targets.toml` and as its section."""

from __future__ import annotations

from pathlib import Path

from contracts.targets import Load, read_targets

TARGETS = """
[ready]
within_s = 1
[health]
answer_s = 1
tells_within_s = 5
[smoke]
answer_s = 3
reply_within_s = 1
settle_s = 0.3
[load]
rate_per_s = 40
warmup_s = 0.25
duration_s = 1.5
answer_timeout_s = 1.5
error_rate = 0.01
webhook_p95_ms = 1000
reply_p95_ms = 1000
reply_within_s = 1
min_samples = 59
min_achieved = 0.95
late_ms = 400
slowest_ms = 3000
max_generator_cpu = 0.9
[compare]
max_slowdown = 1.25
confidence = 0.99
block_s = 0.1
min_blocks = 10
[switch]
drain_s = 1

[bench]
times_reference = 1
p99_ms = 1
memory_growth = 0
memory_growth_mb = 0
worker_per_s = 1
"""


def write_targets(folder: Path) -> Path:
    """The file of short limits, in *folder*."""
    path = folder / "targets.toml"
    path.write_text(TARGETS)
    return path


def write_scenarios(folder: Path, text: str) -> Path:
    """A file of scenarios, in *folder*."""
    path = folder / "scenarios.toml"
    path.write_text(text)
    return path


def load_limits(**changed: float) -> Load:
    """The project's own limits of the load gate, with single ones *changed*."""
    return Load.model_validate({**read_targets().load.model_dump(), **changed})
