"""Releases as the state and the proxy know them, for tests that speak of a stack's history."""

from __future__ import annotations

import itertools
from typing import Any

from contracts.verdict import Check, Report, Verdict
from infra.haproxy_config import Backend
from infra.history import History
from infra.live_route import LiveRoute, Move
from infra.manifest import Manifest, Sizing
from infra.observed import Observed
from infra.release_record import ReleaseRecord

SIZING = Sizing(web_replicas=1, worker_replicas=1, web_memory_mb=256, worker_memory_mb=256)


def manifest(release: str, *, web_replicas: int = 1, worker_replicas: int = 1, **more: Any) -> Manifest:
    """What *release* consists of."""
    replicas = {"web_replicas": web_replicas, "worker_replicas": worker_replicas}
    sizing = SIZING.model_copy(update=replicas)
    return Manifest(id=release, image=f"runbook/service:{release}", sizing=sizing, **more)


def check(name: str, value: float | None, limit: float, unit: str = "", samples: int = 1100) -> Check:
    """A check that passed."""
    return Check(name=name, verdict=Verdict.PASS, value=value, limit=limit, unit=unit, samples=samples)


GATE = [
    Report.of("smoke", [check("webhook answers in time", 12.5, 3000, "ms", 20)], 20.0),
    Report.of(
        "load",
        [
            check("error rate", 0.0012, 0.01),
            check("webhook p95", 12.345, 500, "ms"),
            check("reply p95", 87.6, 3000, "ms"),
        ],
        20.0,
    ),
]


def record(release: str, verb: str = "up", reason: str = "", **more: Any) -> ReleaseRecord:
    """A release that went live on its gate's evidence."""
    found = {
        "release": release,
        "verb": verb,
        "reason": reason,
        "manifest": manifest(release),
        "image": f"runbook/service:{release}",
        "gate": GATE,
        "at": "2026-11-24T12:40:31+00:00",
        "by": "root@a-machine-with-a-long-name",
        "commit": "4cb1406aaaaa+",
        "branch": "main",
    }
    return ReleaseRecord.model_validate({**found, **more})


def in_order(*records: ReleaseRecord) -> list[ReleaseRecord]:
    """*records* a minute apart, each after the last one that kept the traffic, by a move of its own."""
    replaced: str | None = None
    found = []
    for minute, each in zip(itertools.count(10), records):
        update: dict[str, Any] = {"at": f"2026-11-24T12:{minute:02}:31+00:00", "replaced": replaced}
        if each.had_traffic:
            update["move"] = f"m-{minute}"
            replaced = each.release
        found.append(each.model_copy(update=update))
    return found


def outputs_of(*records: ReleaseRecord, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """The outputs of a stack with these *records*, one after the other; the last with the traffic is live."""
    ordered = in_order(*records)
    live = next((each.release for each in reversed(ordered) if each.had_traffic), None)
    return {
        "url": "http://127.0.0.1:8080",
        "candidate_url": "http://127.0.0.1:8081",
        "release": live,
        "kept": list(kept),
        "releases": [each.as_data() for each in ordered],
    }


def deployed(*releases: str, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """The outputs of a stack on which *releases* went live, in this order, by `up`."""
    return outputs_of(*map(record, releases), kept=kept)


def route(live: str, *moves: Move, canary: str | None = None, until_s: int = 0) -> LiveRoute:
    """The proxy's live route."""
    share = Backend(canary, (f"web-1-{canary}",)) if canary else None
    return LiveRoute(Backend(live, (f"web-1-{live}",)), moves, share, until_s)


def history_of(outputs: dict[str, Any], live: LiveRoute | None = None) -> History:
    """The history of a stack whose proxy agrees with its state, or has the route *live*."""
    if live is None and outputs.get("release"):
        live = route(outputs["release"])
    return History.of(outputs, Observed(live))
