"""The health answer: exactly the runbook's JSON, and every departure from it is one line that names it."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts.health import CRITICAL, SCHEMA, SERVICES, allowed_states, shape_problems
from service.telemetry.health import Finding, HealthReport, State


def answer(**changes: Any) -> dict[str, Any]:
    """A healthy answer, some of its fields replaced."""
    services: dict[str, Any] = {name: {"status": "up", "responseTime": 12.5} for name in SERVICES}
    return {"status": "healthy", "timestamp": "2026-10-01T12:00:00Z", "services": services, **changes}


def with_service(name: str, service: object) -> dict[str, Any]:
    """A healthy answer with one service replaced."""
    return answer(services={**answer()["services"], name: service})


def test_the_schema_is_one() -> None:
    """It is valid by its own language's schema, so that any validator can use it."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("status", ["up", "down", "configured", "not_configured"])
def test_a_complete_answer_has_no_problem(status: str) -> None:
    """Every status of a service has the shape, with and without a response time."""
    assert shape_problems(with_service("email", {"status": status})) == []
    assert shape_problems(with_service("email", {"status": status, "responseTime": 0})) == []


@pytest.mark.parametrize("status", ["healthy", "degraded", "unhealthy"])
def test_the_services_own_report_has_the_shape(status: str) -> None:
    """What the service says in each state is what the schema prescribes."""
    findings = {name: Finding(state, 3) for name in SERVICES for state in State}
    report = HealthReport(status, "2026-10-01T12:00:00.000Z", findings)
    assert shape_problems(report.as_json()) == []
    assert set(SCHEMA["$defs"]["service"]["properties"]["status"]["enum"]) == set(State)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (answer(status="fine"), "status: 'fine' is not one of"),
        (answer(timestamp="yesterday"), "timestamp: 'yesterday' is not a 'date-time'"),
        (answer(timestamp="2026-10-01T12:00:00"), "timestamp: "),
        (answer(timestamp=None), "timestamp: None is not of type 'string'"),
        (answer(version="1"), "the answer: Additional properties are not allowed ('version' was unexpected)"),
        ({"status": "healthy", "timestamp": "2026-10-01T12:00:00Z"}, "'services' is a required property"),
        (answer(services=[]), "services: [] is not of type 'object'"),
        (with_service("cache", {"status": "up"}), "services: "),
        (with_service("waha", {"status": "fine"}), "services.waha.status: 'fine' is not one of"),
        (with_service("waha", {"status": ["up"]}), "services.waha.status"),
        (with_service("waha", "up"), "services.waha: 'up' is not of type 'object'"),
        (with_service("waha", {"status": "up", "responseTime": -1}), "services.waha.responseTime: -1"),
        (with_service("waha", {"status": "up", "responseTime": "5 ms"}), "services.waha.responseTime"),
        (with_service("waha", {"status": "up", "responseTime": True}), "services.waha.responseTime"),
        (with_service("waha", {"status": "up", "url": "http://waha"}), "('url' was unexpected)"),
        ([], "the answer: [] is not of type 'object'"),
        (with_service("waha", "long\n" * 1000), "services.waha: 'long"),
    ],
)
def test_a_departure_is_one_line_that_names_it(body: object, named: str) -> None:
    """What is missing, too much or of the wrong value is said by its place, once, and not at length."""
    (problem,) = shape_problems(body)
    assert named in problem
    assert "\n" not in problem
    assert len(problem) < 250


def test_each_missing_service_is_a_line() -> None:
    """All departures are listed."""
    assert len(shape_problems(answer(services={}))) == len(SERVICES)


def test_what_messages_need_must_be_up() -> None:
    """A critical service that is only configured is not known to work; any other may not be down."""
    assert set(SERVICES) >= CRITICAL
    assert allowed_states("database") == ("up",)
    assert allowed_states("sentry") == ("up", "configured", "not_configured")
