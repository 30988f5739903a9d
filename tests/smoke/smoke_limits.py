"""What the tests' runs are judged by: limits that no right target misses on a slow machine.

A run that waits for a limit to be over has that one shorter, and the others as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomlkit

from contracts.targets import TARGETS_FILE

Limits = Mapping[str, Mapping[str, float]]

LIMITS: Limits = {
    "ready": {"within_s": 30.0},
    "health": {"answer_s": 5.0, "tells_within_s": 30.0},
    "smoke": {"answer_s": 5.0, "reply_within_s": 20.0, "settle_s": 0.3},
    "load": {"answer_timeout_s": 20.0},
}

NEVER_READY: Limits = {"ready": {"within_s": 1.0}}
SLOW_HEALTH: Limits = {"health": {"answer_s": 0.5}}
NEVER_TOLD: Limits = {"health": {"tells_within_s": 2.2}}
SLOW_WEBHOOKS: Limits = {"smoke": {"answer_s": 0.8}}
NO_REPLY: Limits = {"smoke": {"reply_within_s": 1.5}}
NO_ANSWER: Limits = {"load": {"answer_timeout_s": 1.5}}


def limits_file(folder: Path, shorter: Limits | None = None) -> Path:
    """The project's targets with these limits, some of them *shorter*, in a file of *folder*."""
    document = tomlkit.parse(TARGETS_FILE.read_text())
    for limits in (LIMITS, shorter or {}):
        for section, values in limits.items():
            document[section].update(values)  # type: ignore[union-attr]
    path = folder / "targets.toml"
    path.write_text(tomlkit.dumps(document))
    return path
