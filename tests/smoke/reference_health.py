"""What the reference target says of its health."""

from __future__ import annotations

from typing import Any

from reference_flaws import Flaws

SERVICES = ("database", "redis", "inngest", "sentry", "email", "waha")
CRITICAL = ("database", "redis", "waha")


def health_answer(flaws: Flaws, *, down: set[str]) -> tuple[int, dict[str, Any]]:
    """HTTP status and body, where these services are *down*."""
    services: dict[str, dict[str, Any]] = {name: {"status": "configured"} for name in SERVICES}
    services |= {name: {"status": "up", "responseTime": 1} for name in CRITICAL}
    if flaws.lacks_a_service:
        del services["email"]
    if flaws.has_another_shape:
        services["email"]["provider"] = "resend"
    if flaws.only_configures_its_database:
        services["database"] = {"status": "configured"}
    if flaws.lies_about_the_database:
        down = down - {"database"}
    services |= {name: {"status": "down"} for name in down}
    status, http_status = "degraded" if down else "healthy", 200
    if down & {*CRITICAL}:
        status, http_status = "unhealthy", 200 if flaws.answers_200_when_unhealthy else 503
    timestamp = "2026-10-01T12:00:00.000Z"
    return http_status, {"status": status, "timestamp": timestamp, "services": services}
