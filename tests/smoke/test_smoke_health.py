"""The health answer: exactly the runbook's JSON, and every departure from it is named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smoke.health import SERVICES, health_problems


def answer(**changes: Any) -> dict[str, Any]:
    """A healthy answer, some of its fields replaced."""
    services: dict[str, Any] = {name: {"status": "up", "responseTime": 12.5} for name in SERVICES}
    return {"status": "healthy", "timestamp": "2026-10-01T12:00:00Z", "services": services, **changes}


def with_service(name: str, service: object) -> dict[str, Any]:
    """A healthy answer with one service replaced."""
    return answer(services={**answer()["services"], name: service})


@pytest.mark.parametrize("status", ["up", "configured", "not_configured"])
def test_a_complete_healthy_answer_has_no_problem(status: str) -> None:
    """Every allowed status but `down` is fine, with and without a response time."""
    assert health_problems(httpx.Response(200, json=with_service("email", {"status": status}))) == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (answer(status="degraded"), "degraded"),
        (answer(timestamp="yesterday"), "timestamp"),
        (answer(timestamp=None), "timestamp"),
        (answer(version="1"), "unexpected version"),
        (answer(services=[]), "services should be an object"),
        (answer(services={}), "lacks database, email"),
        (with_service("cache", {"status": "up"}), "unexpected cache"),
        (with_service("waha", {"status": "down"}), "waha is down"),
        (with_service("waha", {"status": "fine"}), "fine"),
        (with_service("waha", {"status": ["up"]}), "waha: status"),
        (with_service("waha", "up"), "waha should be an object"),
        (with_service("waha", {"status": "up", "responseTime": -1}), "responseTime"),
        (with_service("waha", {"status": "up", "responseTime": "5 ms"}), "responseTime"),
        (with_service("waha", {"status": "up", "url": "http://waha"}), "unexpected url"),
        ([], "JSON object"),
    ],
)
def test_a_departure_is_named(body: object, named: str) -> None:
    """What is missing, too much or of the wrong value is said by name, once."""
    problems = health_problems(httpx.Response(200, json=body))
    assert len(problems) == 1
    assert named in problems[0]


def test_another_status_or_no_json_is_a_problem() -> None:
    """A 503 with a healthy body and a page of HTML are both refused."""
    assert health_problems(httpx.Response(503, json=answer())) == ["HTTP 503"]
    assert health_problems(httpx.Response(200, html="<p>healthy</p>")) == ["HTTP 200 and no JSON"]
