"""Looks at a release's containers while it is tried: does one restart, does its memory grow?"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from contracts.targets import Containers
from contracts.verdict import Check, Report, Verdict
from infra.container_memory import memory_of

_EACH_S = 1.0
_LOG_LINES = 200


@dataclass
class Watched:
    """One container. `memory`: seconds since the watch began, and MB without the page cache."""

    name: str
    role: str = "web"
    limit_mb: float = 0.0
    restarts_before: int | None = None
    restarts: int = 0
    ended: str = ""
    memory: list[tuple[float, float]] = field(default_factory=list)


class ContainerWatch:
    """Watches containers (role by name) from a thread for the length of a block."""

    def __init__(self, roles: Mapping[str, str], engine: docker.DockerClient | None = None) -> None:
        self.found = [Watched(name, role) for name, role in roles.items()]
        self._engine = engine or docker.from_env()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="container watch", daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look_if_possible()  # what happened since the last look counts too

    def gone(self) -> list[str]:
        """The names of those that the engine does not have."""
        return [watched.name for watched in self.found if not self._is_there(watched.name)]

    def _is_there(self, name: str) -> bool:
        try:
            self._engine.containers.get(name)
        except NotFound:
            return False
        return True

    def report(self, limits: Containers) -> Report:
        """What was seen so far."""
        checks = [restarts_check(self.found, limits), memory_check(self.found, limits)]
        return Report.of("containers", checks, round(time.monotonic() - self._began, 3))

    def logs(self) -> dict[str, str]:
        """The last lines of each container, by name; empty of one that is gone."""
        return {watched.name: self._log(watched.name) for watched in self.found}

    def _log(self, name: str) -> str:
        try:
            lines: bytes = self._engine.containers.get(name).logs(tail=_LOG_LINES)
        except (APIError, NotFound):
            return ""
        return lines.decode(errors="replace")

    def write_series(self, file: Path) -> None:
        """The memory of each container over time, as JSON."""
        containers = [
            {
                "name": watched.name,
                "role": watched.role,
                "limit_mb": watched.limit_mb,
                "samples": [{"t": round(at_s, 2), "memory_mb": round(mb, 2)} for at_s, mb in watched.memory],
            }
            for watched in self.found
        ]
        file.write_text(json.dumps({"containers": containers}))

    def _run(self) -> None:
        while not self._stop.wait(_EACH_S):
            self._look_if_possible()

    def _look_if_possible(self) -> None:
        """An engine that is busy for a moment costs one look; the suites' own evidence is not lost for it."""
        with suppress(DockerException, requests.RequestException):
            self._look()

    def _look(self) -> None:
        running = [(watched, container) for watched in self.found if (container := self._inspect(watched))]
        at_s = time.monotonic() - self._began
        memories = memory_of([container for _, container in running])
        for (watched, _), memory in zip(running, memories, strict=True):
            if memory is not None:
                watched.limit_mb = memory.limit_mb
                watched.memory.append((at_s, memory.used_mb))

    def _inspect(self, watched: Watched) -> Container | None:
        """Note how often it was restarted, or how it ended; the container if it runs."""
        try:
            container = self._engine.containers.get(watched.name)
        except NotFound:
            watched.ended = "it is gone"
            return None
        state, count = container.attrs["State"], int(container.attrs["RestartCount"])
        if watched.restarts_before is None:
            watched.restarts_before = count
        watched.restarts = count - watched.restarts_before
        ended = how_it_ended(state, watched.restarts)
        watched.ended = max(ended, watched.ended, key=len)  # one that runs again does not tell how it ended
        return container if state["Running"] else None


def steepest(samples: Sequence[tuple[float, float]], window_s: float) -> float | None:
    """The largest rise per second between two samples at least *window_s* apart and nearest to that."""
    rises = []
    for index, (start_s, start) in enumerate(samples):
        later = next((each for each in samples[index:] if each[0] - start_s >= window_s), None)
        if later is not None:
            rises.append((later[1] - start) / (later[0] - start_s))
    return max(rises, default=None)


def restarts_check(found: Sequence[Watched], limits: Containers) -> Check:
    """No container of the release may end while it is tried."""
    count = sum(max(watched.restarts, 1 if watched.ended else 0) for watched in found)
    looked_at = sum(watched.restarts_before is not None for watched in found)
    detail = "; ".join(f"{watched.name}: {watched.ended}" for watched in found if watched.ended)
    failed = count > limits.restarts
    unseen = "" if looked_at else "no container was seen"
    return Check(
        name="restarts",
        verdict=Verdict.FAIL if failed else Verdict.PASS if looked_at else Verdict.NO_EVIDENCE,
        value=count,
        limit=limits.restarts,
        samples=looked_at,
        detail=detail or unseen,
    )


def memory_check(found: Sequence[Watched], limits: Containers) -> Check:
    """None may grow without end."""
    growths = {watched.name: steepest(watched.memory, limits.memory_window_s) for watched in found}
    known = {name: growth for name, growth in growths.items() if growth is not None}
    name = max(known, key=lambda name: known[name], default=None)
    failed = name is not None and known[name] > limits.memory_mb_per_s
    samples = sum(len(watched.memory) for watched in found)
    return Check(
        name="memory growth",
        verdict=Verdict.FAIL if failed else Verdict.PASS if known else Verdict.NO_EVIDENCE,
        value=None if name is None else round(known[name], 3),
        limit=limits.memory_mb_per_s,
        unit="MB/s",
        samples=samples,
        detail=_memory_detail(name, limits.memory_window_s, failed=failed),
    )


def _memory_detail(name: str | None, window_s: float, *, failed: bool) -> str:
    if name is None:
        return f"no container was seen for {window_s:g} s"
    return f"over {window_s:g} s, in {name}" if failed else ""


def how_it_ended(state: dict[str, Any], restarts: int) -> str:
    """What a container's *state* and the number of its restarts say; nothing for one that simply runs."""
    times = f"restarted {restarts} times" if restarts else ""
    if state.get("Running") and not state.get("Restarting"):
        return times
    how = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
    return f"{times}, ended with {how}" if times else f"ended with {how}"
