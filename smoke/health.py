"""The health answer that the runbook prescribes, and what is wrong with another one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

SERVICES = ("database", "redis", "inngest", "sentry", "email", "waha")
SERVICE_STATUSES = ("up", "down", "configured", "not_configured")


def health_problems(response: httpx.Response) -> list[str]:
    """Everything that keeps *response* from being a healthy and complete answer; empty if nothing does."""
    try:
        body = response.json()
    except ValueError:
        return [f"HTTP {response.status_code} and no JSON"]
    if not isinstance(body, dict):
        return [f"should be a JSON object, got {type(body).__name__}"]
    problems = [] if response.status_code == 200 else [f"HTTP {response.status_code}"]
    return [*problems, *_top_problems(body), *_services_problems(body.get("services"))]


def _top_problems(body: dict[str, Any]) -> Iterator[str]:
    if body.get("status") != "healthy":
        yield f"status is {body.get('status')!r}"
    if not _is_time(body.get("timestamp")):
        yield f"timestamp should be an ISO 8601 time, got {body.get('timestamp')!r}"
    yield from _key_problems("the answer", body, {"status", "timestamp", "services"})


def _services_problems(services: object) -> Iterator[str]:
    if not isinstance(services, dict):
        yield f"services should be an object, got {services!r}"
        return
    yield from _key_problems("services", services, set(SERVICES))
    for name in SERVICES:
        if name in services:
            yield from _service_problems(name, services[name])


def _service_problems(name: str, service: object) -> Iterator[str]:
    if not isinstance(service, dict):
        yield f"{name} should be an object, got {service!r}"
        return
    status = service.get("status")
    if status not in SERVICE_STATUSES:
        yield f"{name}: status should be one of {', '.join(SERVICE_STATUSES)}, got {status!r}"
    elif status == "down":
        yield f"{name} is down"
    if "responseTime" in service and not _is_duration(service["responseTime"]):
        yield f"{name}: responseTime should be milliseconds, got {service['responseTime']!r}"
    yield from _key_problems(name, {"responseTime": None, **service}, {"status", "responseTime"})


def _key_problems(where: str, body: dict[str, Any], expected: set[str]) -> Iterator[str]:
    if missing := sorted(expected - set(body)):
        yield f"{where} lacks {', '.join(missing)}"
    if unexpected := sorted(set(body) - expected):
        yield f"{where} has an unexpected {', '.join(unexpected)}"


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_duration(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
