"""The checklist on a live stack, and on what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from on_demand import on_demand
from project import Project

pytestmark = [pytest.mark.stack, pytest.mark.gate]


def checked(live: Project) -> tuple[int, dict[tuple[str, str], dict[str, Any]], str]:
    """The exit code, the lines by group and name, and all that was printed."""
    done = live.runbook("check", "--fast", "--json")
    lines = {(line["group"], line["name"]): line for line in json.loads(done.stdout)}
    return done.returncode, lines, done.stdout + done.stderr


def failed(lines: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """The names of the lines that failed; not those on code that other tests have added to, as it came."""
    return [
        name
        for (_, name), line in lines.items()
        if line["result"] == "failed" and name not in ("lint", "types")
    ]


@on_demand
def test_a_live_stack_passes(deployed: Project) -> None:
    """Nothing fails; the sandbox's services are asked through the port that this machine has them on."""
    _, lines, printed = checked(deployed)
    assert failed(lines) == []
    asked = ("WAHA", "Convex", "Sentry", "Resend")
    assert {lines["services", name]["result"] for name in asked} == {"passed"}
    assert lines["code", "preview"]["detail"] == "nothing would change"
    for name in ("WAHA_API_KEY", "WAHA_WEBHOOK_SECRET", "RESEND_API_KEY", "RELEASE_KEY"):
        assert deployed.runbook("secrets", "get", name).stdout.strip() not in printed


@on_demand
def test_a_service_that_is_down_fails(live: Project) -> None:
    """By name; the others pass."""
    fault = f"http://127.0.0.1:{live.ports['sandbox_port']}/faults/waha"
    httpx.put(fault, json={"status": 503}, trust_env=False, timeout=30).raise_for_status()
    try:
        code, lines, _ = checked(live)
    finally:
        httpx.delete(fault, trust_env=False, timeout=30)
    assert code == 1
    assert failed(lines) == ["WAHA"]


@on_demand
def test_a_wrong_variable_fails(live: Project) -> None:
    """Before anything is deployed with it."""
    path = ("--path", "runbook:env.RATE_LIMIT_PER_MINUTE")
    assert live.pulumi("config", "set", *path, "fast").returncode == 0
    try:
        code, lines, _ = checked(live)
    finally:
        assert live.pulumi("config", "rm", *path).returncode == 0
    assert code == 1
    assert "'fast'" in lines["variables", "RATE_LIMIT_PER_MINUTE"]["detail"]
    assert lines["variables", "settings"]["result"] == "failed"
