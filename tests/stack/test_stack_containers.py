"""What the engine shows of a live stack: no privileges, no open ports, no secrets."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import docker
import pytest
from project import Project

from contracts.durability import DURABLE
from infra.containers import ContainerExec
from infra.observed import stack_containers

pytestmark = pytest.mark.stack

RUNNING_ROLES = {"web", "worker", "redis", "proxy", "sandbox"}


@pytest.fixture
def inspected(deployed: Project) -> dict[str, dict[str, Any]]:
    """`docker inspect` of each of the stack's running containers, by name."""
    found = stack_containers(deployed.stack, docker.from_env(), stopped=False)
    roles = {container.labels["runbook.role"] for container in found}
    assert roles == RUNNING_ROLES
    return {str(container.name): container.attrs for container in found}


def test_every_container_is_hardened(inspected: dict[str, dict[str, Any]]) -> None:
    """Not root, read-only, no capability, bounded memory and logs, restarted, checked, stopped gently."""
    for name, attrs in inspected.items():
        host, config = attrs["HostConfig"], attrs["Config"]
        assert config["User"].partition(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert not host["Privileged"], name
        assert 0 < host["Memory"] <= 512 * 2**20, name
        assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert config["Healthcheck"]["Test"], name
        assert config["StopTimeout"] >= 10, name


def test_only_the_proxy_publishes_ports_and_only_on_loopback(
    deployed: Project, inspected: dict[str, dict[str, Any]]
) -> None:
    """Redis, web, worker and sandbox are reached through the stack's network alone."""
    published = {
        name: {(port["HostIp"], int(port["HostPort"])) for ports in bindings.values() for port in ports}
        for name, attrs in inspected.items()
        if (bindings := attrs["HostConfig"]["PortBindings"])
    }
    assert published == {
        f"runbook-{deployed.stack}-proxy": {("127.0.0.1", port) for port in deployed.ports.values()},
    }


def test_redis_runs_with_the_settings_that_tests_and_benchmarks_have(deployed: Project) -> None:
    """Each write is synced, and the file is not written anew every few seconds."""
    asked = 'REDISCLI_AUTH="$(cat /conf/password)" redis-cli --json config get "*"'
    _, output = ContainerExec(f"runbook-{deployed.stack}-redis").run(["sh", "-c", asked])
    in_bytes = {"256mb": str(256 * 2**20)}
    running = json.loads(output)
    assert {name: running[name] for name in DURABLE} == {
        name: in_bytes.get(value, value) for name, value in DURABLE.items()
    }


def test_each_process_of_a_release_tells_its_metrics(inspected: dict[str, dict[str, Any]]) -> None:
    """The watch reads them there; of a worker it could not, and saw no refused send."""
    told = {"web": "webhooks_total", "worker": "first_sends_total"}
    for name, attrs in inspected.items():
        if (role := attrs["Config"]["Labels"]["runbook.role"]) in told:
            code, output = ContainerExec(name).run(["python3", "-m", "service", "metrics"])
            assert code == 0, f"{name}: {output}"
            assert told[role] in output, name


@pytest.mark.gate
def test_no_secret_is_readable(deployed: Project, inspected: dict[str, dict[str, Any]]) -> None:
    """Not in inspect, process lists, logs, state, configuration, the suites' output or the reports."""
    names = ("REDIS_PASSWORD", "RELEASE_KEY", "WAHA_API_KEY", "WAHA_WEBHOOK_SECRET")
    secrets = {name: deployed.runbook("secrets", "get", name).stdout.strip() for name in names}
    engine = docker.from_env()
    places = {f"inspect of {name}": json.dumps(attrs) for name, attrs in inspected.items()}
    for name in inspected:
        container = engine.containers.get(name)
        places[f"logs of {name}"] = container.logs().decode(errors="replace")
        places[f"processes of {name}"] = json.dumps(container.top(ps_args="axww -o pid,args"))
    for folder in (".pulumi-state", ".build/reports"):
        for file in (deployed.root / folder).rglob("*"):
            if file.is_file():
                places[str(file)] = file.read_text(errors="replace")
    places["configuration"] = (deployed.root / f"Pulumi.{deployed.stack}.yaml").read_text()
    shown = deployed.runbook("outputs", "--json")
    places["outputs"] = shown.stdout + shown.stderr
    preview = deployed.pulumi("preview", "--diff")
    places["preview"] = preview.stdout + preview.stderr
    places["processes of this machine"] = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert all(len(value) >= 20 for value in secrets.values())
    assert len(places) > 20
    leaks = [
        (secret, place)
        for secret, value in secrets.items()
        for place, text in places.items()
        if value in text
    ]
    assert leaks == []
