"""Limits short enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomlkit

from contracts.targets import TARGETS_FILE

LIMITS: dict[str, dict[str, Any]] = {
    "ready": {"within_s": 1.0},
    "health": {"answer_s": 0.5, "tells_within_s": 2.2},
    "smoke": {"answer_s": 0.8, "reply_within_s": 1.5, "settle_s": 0.3},
    "load": {"answer_timeout_s": 1.5},
}


@pytest.fixture(scope="session")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's targets with these limits."""
    document = tomlkit.parse(TARGETS_FILE.read_text())
    for section, values in LIMITS.items():
        document[section].update(values)  # type: ignore[union-attr]
    path = tmp_path_factory.mktemp("limits") / "targets.toml"
    path.write_text(tomlkit.dumps(document))
    return path
