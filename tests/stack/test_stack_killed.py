"""`up` killed with all its children, at any moment, converges when it is run again.

One moment, in the middle; `RUNBOOK_KILLS=10` takes ten of each kind. Without being asked for, the model-based
test's short form (`test_stack_model.py`) kills an update.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import docker
import pytest
from on_demand import on_demand
from project import Project

from infra.observed import stack_containers

pytestmark = [pytest.mark.stack, pytest.mark.gate, on_demand]

KILLS = int(os.environ.get("RUNBOOK_KILLS", "1"))
LONGEST_S = 24.0
FIRST_S = 0.7
MOMENTS = [
    round(FIRST_S + (LONGEST_S - FIRST_S) * ((number + 0.5) / KILLS) ** 1.5, 1) for number in range(KILLS)
]


def known_containers(project: Project) -> set[str]:
    """The ids of the containers in the stack's state."""
    state = json.loads(project.pulumi("stack", "export").stdout)["deployment"]
    assert not state.get("pending_operations")
    return {
        resource["id"]
        for resource in state["resources"]
        if resource["type"] == "docker:index/container:Container"
    }


def containers(stack: str) -> dict[str, str]:
    """Id and name of each container of *stack*, running or not."""
    found = stack_containers(stack, docker.from_env())
    return {str(container.id): str(container.name) for container in found}


def assert_converged(project: Project, release: str) -> None:
    """Engine and state agree, only kept releases are left beside, nobody holds the lock, nothing is to do."""
    found = containers(project.stack)
    assert found.keys() == known_containers(project)
    releases = {name.rpartition("-r-")[2] for name in found.values() if "-web-" in name or "-worker-" in name}
    assert releases == {id_.removeprefix("r-") for id_ in (release, *project.outputs()["kept"])}
    locks = project.root / ".pulumi-state/.pulumi/locks/organization/runbook" / project.stack
    assert list(Path(locks).glob("*.json")) == []
    assert "nothing to do" in project.runbook("up").stderr


@pytest.mark.parametrize("moment_s", MOMENTS)
def test_a_killed_deployment_converges(live: Project, moment_s: float) -> None:
    """The next `up` clears up, says so, and ends with the new release live."""
    before = live.outputs()["release"]
    live.append("service/webhooks/webhook.py", f"\n# killed after {moment_s} s\n")
    was_killed = live.kill_up_after(moment_s)
    held = list((live.root / ".pulumi-state/.pulumi/locks/organization/runbook" / live.stack).glob("*.json"))
    done = live.runbook("up", "--json")
    assert done.returncode == 0, done.stderr
    if was_killed and held:
        assert "was killed: removing its lock" in done.stderr
    after = json.loads(done.stdout)["release"]
    assert after != before
    assert_converged(live, after)


@pytest.mark.parametrize("moment_s", MOMENTS)
def test_a_killed_first_deployment_converges(live: Project, moment_s: float) -> None:
    """The same from nothing, when network, Redis and proxy are only being made."""
    assert live.runbook("destroy").returncode == 0
    live.configure()
    live.kill_up_after(moment_s)
    assert_converged(live, live.deploy())
