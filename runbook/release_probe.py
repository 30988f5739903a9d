"""One observation of a stack whose release is live, through the engine and the public frontend."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from typing import TypeVar

import docker
import httpx
import requests
from docker.errors import DockerException
from docker.models.containers import Container
from prometheus_client.samples import Sample

from infra.container_memory import memory_of
from infra.containers import ContainerExec
from infra.errors import Refused
from infra.observed import RELEASE_LABEL, ROLE_LABEL, age_s, stack_containers
from runbook.errors import RunbookError
from runbook.live_service import live_service
from runbook.liveness import proxy_of, published_url
from runbook.monitor import Observation, Queue, Sends, Webhooks
from runbook.process_metrics import read_samples

_READY_S = 5.0
_HAS_A_PROCESS = ("running", "paused")
_TAKEN = ("accepted", "duplicate", "ignored")
_REFUSED = ("invalid_signature", "malformed")
_FULL = ("memory", "queue_full")
_T = TypeVar("_T")


class ReleaseProbe:
    """Observes *stack*. What cannot be read is None: it is no evidence."""

    def __init__(self, stack: str, engine: docker.DockerClient | None = None) -> None:
        self._stack = stack
        self._engine = engine or docker.from_env()
        self._proxy = proxy_of(stack)

    def observe(self) -> Observation:
        """Observe once."""
        live = _known(self._proxy.live_route)
        release = live.release if live else None
        found = _known(lambda: stack_containers(self._stack, self._engine)) or []
        containers = _release_containers(each for each in found if each.labels.get(RELEASE_LABEL) == release)
        counters = _known(lambda: self._proxy.counters("live"))
        # A proxy that cannot be asked is away: that nobody is answered then is not the release's doing.
        url = published_url(found) if counters else None
        web, workers = (_told(_of_role(containers, role)) for role in ("web", "worker"))
        queue = _known(self._queue)
        return Observation(
            at_s=time.monotonic(),
            release=release,
            counters=counters,
            ready_problem=_problem(f"{url}/api/health/ready") if url else None,
            # A release may be wrong about it: who has just read the queue there knows better.
            redis_away=queue is None and _is_redis_away(_all(web)),
            dependencies_up=url is not None and _problem(f"{url}/api/health") is None,
            restarts=sum(_ends(each) for each in containers) if containers else None,
            memory_share=_known(lambda: _fullest(containers)),
            queue=queue,
            sends=None if None in web + workers else sends_in(_all(web + workers)),
            webhooks=None if None in web else webhooks_in(_all(web)),
        )

    def usual(self, release: str) -> tuple[Sends, Webhooks, float]:
        """How messages and webhooks of all releases but *release* ended, as far as these still run.

        And in how many seconds: those of the one that has run for longest, so that the pace is no more than
        it was. One of them had the traffic at any time.
        """
        found = _known(lambda: stack_containers(self._stack, self._engine, stopped=False)) or []
        others = _release_containers(each for each in found if each.labels.get(RELEASE_LABEL) != release)
        samples, longest_s = _all(_told(others)), max(map(age_s, others), default=0.0)
        return sends_in(samples) or Sends(), webhooks_in(samples) or Webhooks(), longest_s

    def _queue(self) -> Queue | None:
        shown = live_service(self._stack, self._engine).ask("queue", "show")
        live = next((lane for lane in shown["lanes"] if lane["lane"] == "live"), None)
        if live is None or "last_delivered_id" not in live:  # a release that is older than this command
            return None
        return Queue(str(live["last_delivered_id"]), live["oldest_waiting_ms"])


def sends_in(samples: Sequence[Sample]) -> Sends | None:
    """What the workers counted, or the web processes where Inngest calls these; None without *samples*."""
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name == "first_sends_total":
            found[sample.labels.get("outcome", "")] += int(sample.value)
        elif sample.labels.get("lane") == "live" and _is_a_reply(sample):
            found["replied"] += int(sample.value)
    known = {each.name: found[each.name] for each in fields(Sends)}
    return Sends(**known) if samples else None


def webhooks_in(samples: Sequence[Sample]) -> Webhooks | None:
    """What the web processes counted; None without *samples*."""
    live = [each for each in samples if each.name == "webhooks_total" and each.labels.get("lane") == "live"]
    counts = (
        sum(int(each.value) for each in live if each.labels.get("outcome") in outcomes)
        for outcomes in (_TAKEN, _REFUSED, _FULL)
    )
    return Webhooks(*counts) if samples else None


def _is_a_reply(sample: Sample) -> bool:
    """Sent, or sent as WAHA's echo proved later."""
    if sample.name == "messages_total":
        return sample.labels.get("outcome") == "sent"
    return sample.name == "messages_reconciled_total"


def _problem(url: str) -> str | None:
    # Asked directly: a proxy from the environment is not for a stack's own addresses.
    try:
        with httpx.Client(timeout=_READY_S, trust_env=False) as client:
            status = client.get(url).status_code
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return None if status == httpx.codes.OK else f"HTTP {status}"


def _told(containers: Iterable[Container]) -> list[list[Sample] | None]:
    """What each process in *containers* counts, None of one that does not answer.

    One that has ended is passed over: when it is started again, it counts from 0.
    """
    return [_known(partial(_metrics, each)) for each in containers if each.status in _HAS_A_PROCESS]


def _all(told: Iterable[list[Sample] | None]) -> list[Sample]:
    """The samples of those that answered."""
    return [sample for samples in told for sample in samples or []]


def _metrics(container: Container) -> list[Sample]:
    code, text = ContainerExec(str(container.name)).run(["python3", "-m", "service", "metrics"])
    if code != 0:
        raise Refused(f"{container.name} does not tell its metrics")
    return read_samples(text)


def _is_redis_away(samples: Iterable[Sample]) -> bool:
    """A web process tells -1 of what stands in Redis while it cannot reach it."""
    return any(sample.name == "queue_depth" and sample.value < 0 for sample in samples)


def _release_containers(containers: Iterable[Container]) -> list[Container]:
    """Those that make up releases."""
    return [each for each in containers if each.labels.get(ROLE_LABEL) in ("web", "worker")]


def _of_role(containers: Iterable[Container], role: str) -> list[Container]:
    return [each for each in containers if each.labels.get(ROLE_LABEL) == role]


def _ends(container: Container) -> int:
    """How often it was started again; once more if it does not run."""
    return int(container.attrs["RestartCount"]) + (0 if container.attrs["State"]["Running"] else 1)


def _fullest(containers: list[Container]) -> float | None:
    """The largest share of its limit that one uses."""
    known = [memory for memory in memory_of(containers) if memory is not None and memory.limit_mb]
    return max((memory.used_mb / memory.limit_mb for memory in known), default=None)


def _known(read: Callable[[], _T | None]) -> _T | None:
    """What *read* gives; None if what it asks cannot be reached at the moment."""
    try:
        return read()
    except (Refused, RunbookError, DockerException, requests.RequestException):
        return None
