"""One look at a stack whose release is live, through the engine and the public frontend."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import docker
import httpx
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from infra.container_memory import memory_of
from infra.errors import Refused
from runbook.errors import RunbookError
from runbook.live_service import live_service
from runbook.liveness import proxy_of
from runbook.stack_containers import containers_of
from runbook.watching import Look

_READY_S = 5.0
_T = TypeVar("_T")


class Looker:
    """Looks at *stack*, whose public frontend is at *url*. What cannot be read is None: it is no evidence."""

    def __init__(self, stack: str, url: str, engine: docker.DockerClient | None = None) -> None:
        self._stack, self._url = stack, url
        self._engine = engine or docker.from_env()
        self._proxy = proxy_of(stack)

    def __call__(self) -> Look:
        """Look once."""
        release = _known(self._live_release)
        containers = _known(lambda: self._containers(release)) or []
        lane = _known(self._live_lane) or {}
        age_ms = lane.get("oldest_age_ms")
        return Look(
            at_s=time.monotonic(),
            release=release,
            counters=_known(lambda: self._proxy.counters("live")),
            ready_problem=self._ready_problem(),
            restarts=sum(_ends(each) for each in containers) if containers else None,
            memory_share=_known(lambda: _fullest(containers)),
            dead=lane.get("dead"),
            queue_age_s=(age_ms or 0) / 1000 if lane else None,
        )

    def _live_release(self) -> str | None:
        backend = self._proxy.leads_to("live")
        return backend.release if backend else None

    def _ready_problem(self) -> str | None:
        # Asked directly: a proxy from the environment is not for a stack's own addresses.
        try:
            with httpx.Client(timeout=_READY_S, trust_env=False) as client:
                status = client.get(f"{self._url}/api/health/ready").status_code
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return None if status == httpx.codes.OK else f"HTTP {status}"

    def _containers(self, release: str | None) -> list[Container]:
        found = containers_of(self._stack, self._engine, stopped=True)
        mine = [each for each in found if each.labels.get("runbook.release") == release]
        return [each for each in mine if each.labels.get("runbook.role") in ("web", "worker")]

    def _live_lane(self) -> dict[str, int | None]:
        shown = live_service(self._stack, self._engine).ask("queue", "show")
        return next((lane for lane in shown["lanes"] if lane["lane"] == "live"), {})


def _ends(container: Container) -> int:
    """How often it was started again; once more if it does not run."""
    return int(container.attrs["RestartCount"]) + (0 if container.attrs["State"]["Running"] else 1)


def _fullest(containers: list[Container]) -> float | None:
    """The largest share of its limit that one uses."""
    known = [memory for memory in memory_of(containers) if memory is not None and memory.limit_mb]
    return max((memory.used_mb / memory.limit_mb for memory in known), default=None)


def _known(read: Callable[[], _T | None]) -> _T | None:
    """What *read* gives; None if what it asks is away at the moment."""
    try:
        return read()
    except (Refused, RunbookError, DockerException, requests.RequestException):
        return None
