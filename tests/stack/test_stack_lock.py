"""One deployment of a live stack at a time: a freeze refuses it, a second one waits."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest
from on_demand import on_demand
from project import COMMAND_S, Project, environment

pytestmark = pytest.mark.stack


def lock_of(live: Project) -> dict[str, Any]:
    """Who holds the deploy lock."""
    done = live.runbook("lock", "show", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_frozen_stack_is_not_deployed(live: Project) -> None:
    """It is said who froze it and why; nothing is changed; after the release it is deployed."""
    before = live.outputs()["release"]
    assert live.runbook("lock", "acquire", "-m", "incident 42").returncode == 0
    live.append("service/webhooks/webhook.py", "\n# frozen\n")
    try:
        refused, by_pulumi = live.runbook("up"), live.pulumi("up", "--yes", "--skip-preview")
    finally:
        assert live.runbook("lock", "release").returncode == 0
    assert refused.returncode == 1
    assert "incident 42" in refused.stderr
    assert "lock release" in refused.stderr
    assert by_pulumi.returncode != 0
    assert "are frozen by" in by_pulumi.stdout + by_pulumi.stderr
    assert live.outputs()["release"] == before
    assert live.deploy() != before


@on_demand
def test_two_deployments_at_once_are_one_after_the_other(live: Project) -> None:
    """The second waits, saying for whom, and then finds nothing to do."""
    live.append("service/webhooks/webhook.py", "\n# by two\n")
    command = ["bin/runbook", "up", "--stack", live.stack]
    first = subprocess.Popen(command, cwd=live.root, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not lock_of(live)["held"]:
        assert first.poll() is None
        assert time.monotonic() < deadline
    second = live.runbook("up")
    _, said = first.communicate(timeout=COMMAND_S)
    assert first.returncode == 0, said
    assert second.returncode == 0, second.stderr
    assert f"(process {first.pid})" in second.stderr.partition("for the deploy lock of ")[2]
    assert "nothing to do" in second.stderr
    assert lock_of(live) == {"stack": live.stack, "held": False}
