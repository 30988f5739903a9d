"""Entries of the ledger, as a stack's outputs have them."""

from __future__ import annotations

import itertools
from typing import Any

from contracts.verdict import Check, Report, Verdict


def check(name: str, value: float | None, limit: float, unit: str = "", samples: int = 1100) -> Check:
    """A check that passed."""
    return Check(name=name, verdict=Verdict.PASS, value=value, limit=limit, unit=unit, samples=samples)


CHECKS = {
    "smoke": [check("webhook answers in time", 12.5, 3000, "ms", 20)],
    "load": [
        check("error rate", 0.0012, 0.01),
        check("webhook p95", 12.345, 500, "ms"),
        check("reply p95", 87.6, 3000, "ms"),
    ],
}


def entry(release: str, verb: str = "up", reason: str = "", **more: Any) -> dict[str, Any]:
    """A release that went live on its gate's evidence."""
    return {
        "manifest": {"id": release, "image": f"runbook/service:{release}"},
        "gate": [Report.of(name, checks, 20.0).model_dump(mode="json") for name, checks in CHECKS.items()],
        "order": {"verb": verb, "reason": reason, "gate": "full"},
        "replaced": None,
        "at": "2026-11-24T12:40:31+00:00",
        "by": "root@a-machine-with-a-long-name",
        "commit": "4cb1406aaaaa+",
        **more,
    }


def history(*releases: str, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """The outputs of a stack on which *releases* went live, in this order, by `up`."""
    return outputs_of([entry(release) for release in releases], kept)


def outputs_of(entries: list[dict[str, Any]], kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """The outputs of a stack with these *entries*, a minute apart, the last of which is live."""
    replaced: str | None = None
    for minute, made in zip(itertools.count(10), entries):
        made |= {"replaced": replaced, "at": f"2026-11-24T12:{minute}:31+00:00"}
        replaced = made["manifest"]["id"]
    return {
        "url": "http://127.0.0.1:8080",
        "candidate_url": "http://127.0.0.1:8081",
        "release": replaced,
        "kept": list(kept),
        "releases": entries,
    }
