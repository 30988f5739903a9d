"""A Docker engine with the containers and networks that a test gives it; it knows what clearing up needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Thing:
    """A container or network: `refusal` is what its removal raises."""

    id: str
    name: str
    labels: dict[str, str]
    refusal: Exception | None = None
    removed: bool = False

    def remove(self, *, force: bool = False) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.removed = True


@dataclass
class Things:
    """A collection of the SDK's: `list` filters by one label, `name=value`, if by anything."""

    found: list[Thing] = field(default_factory=list)

    def list(self, filters: dict[str, Any] | None = None, **_more: bool) -> list[Thing]:
        there = [thing for thing in self.found if not thing.removed]
        if filters is None:
            return there
        name, _, value = filters["label"].partition("=")
        return [thing for thing in there if thing.labels.get(name) == value]

    def add(self, name: str, stack: str = "dev", refusal: Exception | None = None) -> Thing:
        """One more, with an id made of its name."""
        thing = Thing(f"id-of-{name}", name, {"runbook.stack": stack}, refusal)
        self.found.append(thing)
        return thing


@dataclass
class FakeEngine:
    """What `docker.from_env` gives. Asked for anything else, volumes for example, it fails."""

    containers: Things = field(default_factory=Things)
    networks: Things = field(default_factory=Things)


@dataclass
class FakeClock:
    """Time that passes only while somebody sleeps; `while_asleep` is what happens meanwhile."""

    time: float = 1000.0
    while_asleep: Callable[[], None] = lambda: None
    slept: int = 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept += 1
        self.while_asleep()
