"""A Docker engine with volumes alone, which behave as its own do: creating one that exists gives that one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docker.errors import NotFound


@dataclass
class FakeVolume:
    """A volume, which is there until it is removed."""

    name: str
    attrs: dict[str, Any]
    found: dict[str, FakeVolume]

    def remove(self) -> None:
        if self.found.pop(self.name, None) is None:
            raise NotFound("no such volume")


@dataclass
class FakeVolumes:
    """What `docker.from_env().volumes` is; `failure` is what the engine raises from now on."""

    found: dict[str, FakeVolume] = field(default_factory=dict)
    failure: Exception | None = None

    def create(self, name: str, labels: dict[str, str] | None = None) -> FakeVolume:
        self._answer()
        fresh = FakeVolume(name, {"Labels": labels}, self.found)
        return self.found.setdefault(name, fresh)

    def get(self, name: str) -> FakeVolume:
        self._answer()
        if name not in self.found:
            raise NotFound("no such volume")
        return self.found[name]

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class VolumesEngine:
    """What `docker.from_env` gives."""

    volumes: FakeVolumes = field(default_factory=FakeVolumes)
