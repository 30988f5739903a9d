"""The panels of `panels.toml`: typed, complete, with their limits as numbers."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from operator import attrgetter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from contracts.targets import Targets, read_targets

WINDOW = "$window"
"""In a query: the time over which a rate is taken. Whoever asks puts a duration there."""

_FILE = Path(__file__).with_name("panels.toml")


class Unit(StrEnum):
    """What a panel's values are in; shares are of 1."""

    SECONDS = "s"
    SHARE = "share"
    COUNT = ""
    PER_SECOND = "/s"
    PER_MINUTE = "/min"


class Panel(BaseModel):
    """One chart, as `panels.toml` describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    title: str
    unit: Unit
    meaning: str
    queries: dict[str, str] = Field(min_length=1)
    limit: float | None = None
    limited: str = ""


def read_panels(targets: Targets | None = None) -> list[Panel]:
    """All panels, group by group, with the limits that *targets* (or the file) has."""
    targets = targets or read_targets()
    groups = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return [
        Panel(
            **{**told, "name": name, "group": group.capitalize(), "limit": _limit(told.get("limit"), targets)}
        )
        for group, members in groups.items()
        for name, told in members.items()
    ]


def _limit(told: float | str | None, targets: Targets) -> float | None:
    """The number that *told* is, or that stands there in *targets*: seconds for what ends in `_ms`."""
    if not isinstance(told, str):
        return told
    return float(attrgetter(told)(targets)) / (1000 if told.endswith("_ms") else 1)
