"""Two checkouts whose stacks have one name, on one engine: neither touches what the other has."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import docker
import pytest
from on_demand import on_demand
from project import Project

from infra.observed import stack_containers

pytestmark = pytest.mark.stack

NO_SUCH_PROCESS = 2**22 + 1


def things(stack: str) -> set[str]:
    """The ids of the stack's containers, networks and volumes."""
    engine, label = docker.from_env(), {"label": f"runbook.stack={stack}"}
    return {
        *(str(each.id) for each in stack_containers(stack, engine)),
        *(str(each.id) for each in engine.networks.list(filters=label)),
        *(str(each.id) for each in engine.volumes.list(filters=label)),
    }


@pytest.fixture
def other(live: Project, tmp_path: Path) -> Project:
    """A second checkout, with ports of its own: its state knows nothing of what is on the engine."""
    return Project.copy(tmp_path / "other", live.stack)


def test_a_second_checkout_is_refused_before_it_makes_anything(live: Project, other: Project) -> None:
    """Whatever it types; what is there stays, and answers. What is in the way can be looked at."""
    before = things(live.stack)
    # Its own update was killed once: a sign that it may clear up, but not what is another's.
    done = other.runbook("preview")
    locks = other.root / ".pulumi-state/.pulumi/locks/organization/runbook" / other.stack
    locks.mkdir(parents=True, exist_ok=True)
    lock = {
        "pid": NO_SUCH_PROCESS,
        "username": "kim",
        "hostname": socket.gethostname(),
        "timestamp": "2026-11-24T12:00:00Z",
    }
    for command in (["preview"], ["up", "--no-watch"], ["rollback", "r-0000000"], ["destroy"]):
        done = other.runbook(*command)
        assert things(live.stack) == before, command
        if command[0] == "up":
            assert done.returncode == 1
            assert f"stack {live.stack}" in done.stderr
            assert "from git or from the checkout that deploys the stack" in done.stderr
        (locks / "a.json").write_text(json.dumps(lock))
    assert "nothing to do" in live.runbook("up").stderr


@on_demand
def test_with_secrets_of_its_own_it_is_refused_by_its_state(live: Project, other: Project) -> None:
    """A production stack's secrets are in git: both checkouts have them, and a state each."""
    before, passphrase = things(live.stack), ".pulumi-state/passphrase"
    (other.root / passphrase).parent.mkdir(exist_ok=True)
    (other.root / passphrase).write_bytes((live.root / passphrase).read_bytes())
    name = f"Pulumi.{live.stack}.yaml"
    (other.root / name).write_bytes((live.root / name).read_bytes())
    assert other.pulumi("stack", "init").returncode == 0
    for done in (other.runbook("up", "--no-watch"), other.pulumi("up", "--yes", "--skip-preview")):
        assert done.returncode != 0
        assert "is not in this checkout's state" in done.stderr + done.stdout
        assert things(live.stack) == before
    done = other.runbook("destroy")
    assert done.returncode == 1
    assert f"runbook-{live.stack}-proxy" in done.stderr
    assert (other.root / name).is_file()
    assert things(live.stack) == before
    # The first state is lost: the hint, typed as it is, leads on.
    hint = other.runbook("up").stderr.partition("if that state is lost: ")[2]
    for command in re.findall("`(docker [^`]+)`", hint):
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    release = other.deploy("--no-watch")
    assert other.outputs()["release"] == release
    assert other.runbook("destroy").returncode == 0
    assert things(live.stack) == set()
