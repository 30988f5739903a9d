"""The headers that every answer must have, good or not, by whichever way its request came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from smoke.evidence import Measured
from smoke.target import Target, status_event


def _forged(target: Target) -> httpx.Response:
    webhook = target.signed(status_event())
    return target.post(replace(webhook, body=webhook.body + b" "))


ANSWERS: dict[str, Callable[[Target], httpx.Response]] = {
    "accepted webhook": lambda target: target.post(target.signed(status_event())),
    "webhook in pieces": lambda target: target.post(target.signed(status_event()), chunked=True),
    "refused webhook": _forged,
    "health": lambda target: target.get("/api/health"),
    "ready": lambda target: target.get("/api/health/ready"),
    "metrics": lambda target: target.get("/metrics"),
    "unknown path": lambda target: target.get("/api/health/nowhere"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_security_headers_of(measured: Measured, target: Target, answer: str) -> None:
    """No browser guesses a type, no cache keeps it, nobody learns which versions run."""
    response = ANSWERS[answer](target)
    problems = list(_problems(response.headers))
    measured(len(problems), 0, unit="problems", samples=1, ok=not problems, detail="; ".join(problems))


def _problems(headers: httpx.Headers) -> Iterator[str]:
    sniffing = headers.get("X-Content-Type-Options")
    if sniffing is None or sniffing.lower() != "nosniff":
        yield f"X-Content-Type-Options should be nosniff, is {sniffing!r}"
    caching = headers.get("Cache-Control")
    if caching is None or "no-store" not in caching.lower():
        yield f"Cache-Control should be no-store, is {caching!r}"
    for name in ("Server", "X-Powered-By"):
        if any(character.isdigit() for character in headers.get(name, "")):
            yield f"{name} tells a version: {headers[name]!r}"
