"""Short limits for the tests of the load gate, as a `targets.toml` and as its section."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomlkit

from contracts.targets import TARGETS_FILE, Load, read_targets

SHORT = """
[ready]
within_s = 1
[health]
answer_s = 3
[smoke]
reply_within_s = 1
settle_s = 0.3
[load]
rate_per_s = 40
warmup_s = 0.25
duration_s = 1.5
answer_timeout_s = 9
webhook_p95_ms = 3000
reply_p95_ms = 3000
reply_within_s = 1
min_samples = 59
late_ms = 2000
max_generator_cpu = 0.9
[compare]
block_s = 0.1
min_blocks = 10
"""
"""What differs from the project's own targets: runs are short, and a busy machine is given time.

When replies are waited for, all that are to come are there: one reading finds them.
"""


def write_targets(folder: Path, name: str = "targets.toml", **load: float) -> Path:
    """The file of short limits, in *folder*; what they and *load* do not name is as in the project's."""
    targets = tomlkit.parse(TARGETS_FILE.read_text())
    for section, limits in tomllib.loads(SHORT).items():
        targets[section].update(limits)  # type: ignore[union-attr]
    targets["load"].update(load)  # type: ignore[union-attr]
    path = folder / name
    path.write_text(tomlkit.dumps(targets))
    return path


def write_scenarios(folder: Path, text: str) -> Path:
    """A file of scenarios, in *folder*."""
    path = folder / "scenarios.toml"
    path.write_text(text)
    return path


def load_limits(**changed: float) -> Load:
    """The project's own limits of the load gate, with single ones *changed*."""
    return Load.model_validate({**read_targets().load.model_dump(), **changed})
