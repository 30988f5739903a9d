"""A Docker engine with volumes alone, which behave as its own do: creating one that exists gives that one."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from docker.errors import NotFound


@dataclass
class FakeVolume:
    """A volume, which is there until it is removed; that fails with `refusal`, if there is one."""

    name: str
    attrs: dict[str, Any]
    found: dict[str, FakeVolume]
    refusal: Exception | None = None

    def remove(self) -> None:
        if self.refusal:
            raise self.refusal
        if self.found.pop(self.name, None) is None:
            raise NotFound("no such volume")


@dataclass
class FakeVolumes:
    """What `docker.from_env().volumes` is.

    `failure` is what the engine raises from now on, `before_create` what happens before a volume is made.
    """

    found: dict[str, FakeVolume] = field(default_factory=dict)
    failure: Exception | None = None
    before_create: Callable[[str], None] = lambda _name: None

    def create(self, name: str, labels: dict[str, str] | None = None) -> FakeVolume:
        self._answer()
        self.before_create(name)
        fresh = FakeVolume(name, {"Labels": labels}, self.found)
        return self.found.setdefault(name, fresh)

    def get(self, name: str) -> FakeVolume:
        self._answer()
        if name not in self.found:
            raise NotFound("no such volume")
        return self.found[name]

    def list(self, filters: dict[str, str]) -> list[FakeVolume]:
        """Those with one label, `name` or `name=value`, with part of a name in theirs if one is given."""
        self._answer()
        name, has_value, value = filters["label"].partition("=")
        named = [volume for volume in self.found.values() if filters.get("name", "") in volume.name]
        labels = ((volume, volume.attrs["Labels"] or {}) for volume in named)
        return [volume for volume, of in labels if name in of and (not has_value or of[name] == value)]

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class VolumesEngine:
    """What `docker.from_env` gives; `ahead_s` is how far its clock is ahead of ours."""

    volumes: FakeVolumes = field(default_factory=FakeVolumes)
    ahead_s: float = 0.0

    def info(self) -> dict[str, str]:
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.ahead_s)
        return {"SystemTime": f"{now:%Y-%m-%dT%H:%M:%S.%f}123Z"}
