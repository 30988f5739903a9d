"""Which of two webhook secrets WAHA signs with: the web processes of the live release count it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import docker

from infra.containers import ContainerExec
from infra.errors import Refused
from infra.observed import stack_containers
from runbook.live_service import Runs
from runbook.process_metrics import read_samples

WATCH_S = 10.0
_POLL_INTERVAL_S = 0.5
_VERIFIED = ("accepted", "duplicate", "ignored")
_ASK = (
    "import os, urllib.request\n"
    "url = f\"http://127.0.0.1:{os.environ['PORT']}/metrics\"\n"
    "print(urllib.request.urlopen(url, timeout=5).read().decode())\n"
)


class Signer(Enum):
    """What the counts prove. Only `NEW` is evidence that the old secret is not needed."""

    OLD = auto()
    NEW = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Counts:
    """Webhooks since the web processes began: signed with a `previous` secret; verified in the `live` lane.

    A gate signs with the new secret too, in its own lane: only live webhooks are WAHA's.
    """

    previous: float
    live: float


def observe_signer(
    stack: str,
    release: str,
    engine: docker.DockerClient | None = None,
    open_container: Callable[[str], Runs] = ContainerExec,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    *,
    at_first: bool = False,
) -> Signer:
    """Which secret WAHA signs with, as the web processes of *release* see it.

    They are asked again if need be, after 10 s. *at_first*: until then each half second, and the first
    webhooks that come decide: whoever takes a bad release out has no 10 s.
    """
    names = _web_names(stack, release, engine or docker.from_env())
    before = _counts([open_container(name) for name in names])
    if before is None:
        return Signer.UNKNOWN
    if before.live and not before.previous:
        return Signer.NEW
    deadline = clock() + WATCH_S
    while clock() < deadline:
        sleep(_POLL_INTERVAL_S if at_first else WATCH_S)
        after = _counts([open_container(name) for name in names])
        if after is None or after.live < before.live:  # they were started again: nothing can be compared
            return Signer.UNKNOWN
        if after.previous > before.previous:
            return Signer.OLD
        if after.live > before.live:
            return Signer.NEW
    # None came: where all that ever did were signed with the old one, nobody has used the new one yet.
    return Signer.OLD if 0 < before.live <= before.previous else Signer.UNKNOWN


def counted(metrics: str) -> Counts:
    """The counts in one process's *metrics*.

    Raises:
        Refused: they cannot be read.
    """
    samples = read_samples(metrics)

    def total(name: str, is_meant: Callable[[dict[str, str]], bool]) -> float:
        return sum(sample.value for sample in samples if sample.name == name and is_meant(sample.labels))

    return Counts(
        previous=total("webhook_signatures_total", lambda labels: "previous" in labels.values()),
        live=total(
            "webhooks_total",
            lambda labels: labels.get("lane") == "live" and labels.get("outcome") in _VERIFIED,
        ),
    )


def _web_names(stack: str, release: str, engine: docker.DockerClient) -> list[str]:
    wanted = {"runbook.role": "web", "runbook.release": release}
    found = stack_containers(stack, engine, stopped=False)
    return sorted(str(container.name) for container in found if wanted.items() <= container.labels.items())


def _counts(webs: list[Runs]) -> Counts | None:
    """The sum over all; None where one does not answer, or there is none."""
    found = []
    for web in webs:
        try:
            code, output = web.run(["python3", "-c", _ASK])
            if code != 0:
                return None
            found.append(counted(output))
        except Refused:
            return None
    if not found:
        return None
    return Counts(sum(one.previous for one in found), sum(one.live for one in found))
