"""Each rule of the policy, broken by a container that the program declares beside its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pulumi_docker as docker
import pytest
from declared_stack import SECRETS, declare
from fake_docker_api import fake_docker

from infra import program

FIXED = "runbook/service:r-0123456"
GOOD: dict[str, Any] = {
    "image": FIXED,
    "user": "65532:65532",
    "read_only": True,
    "capabilities": {"drops": ["ALL"]},
    "security_opts": ["no-new-privileges:true"],
    "labels": [{"label": "runbook.role", "value": "more"}],
    "envs": ["WAHA_API_KEY_FILE=/run/secrets/WAHA_API_KEY"],
}
SECRET = SECRETS["WAHA_API_KEY"]

Declares = Callable[..., Any]


@pytest.fixture
def declares(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declares]:
    """Runs the program with one more container, of these arguments, behind its sandbox."""
    sandbox = program.Sandbox

    with fake_docker() as engine:

        def declare_more(*, preview: bool = False, **arguments: Any) -> Any:
            def with_one_more(*given: Any) -> Any:
                made = sandbox(*given)
                known_later = {key: value() for key, value in arguments.items() if callable(value)}
                docker.Container("more", **{**GOOD, **arguments, **known_later})
                return made

            monkeypatch.setattr(program, "Sandbox", with_one_more)
            return declare(engine.host, preview=preview)

        yield declare_more


def test_a_container_that_breaks_no_rule_is_declared(declares: Declares) -> None:
    """As all of the program's own are."""
    assert declares()["more"].inputs["image"] == FIXED


def a_volume(**opts: bool) -> list[dict[str, Any]]:
    """A mount of a volume with these options."""
    volume = docker.Volume("more-data", name="more-data", opts=pulumi.ResourceOptions(**opts))
    return [{"volume_name": volume.name, "container_path": "/more"}]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"ports": [{"internal": 80, "external": 8090}]}, "publishes ports"),
    ({"user": None}, "runs as root"),
    ({"user": "0:0"}, "runs as 0:0"),
    ({"user": "root"}, "runs as root"),
    ({"read_only": None}, "can write its root file system"),
    ({"capabilities": None}, "has capabilities"),
    ({"capabilities": {"drops": ["ALL"], "adds": ["NET_ADMIN"]}}, "has capabilities"),
    ({"privileged": True}, "has capabilities"),
    ({"security_opts": None}, "may gain privileges"),
    ({"envs": ["WAHA_API_KEY=anything"]}, "envs has WAHA_API_KEY, a secret: give WAHA_API_KEY_FILE"),
    ({"envs": [f"WAHA_URL=http://x:{SECRET}@y"]}, "envs holds a secret of the stack in clear"),
    ({"labels": [{"label": "key", "value": SECRET}]}, "labels holds a secret of the stack in clear"),
    ({"command": ["curl", "-H", f"X-Api-Key: {SECRET}"]}, "command holds a secret of the stack in clear"),
    ({"start": False, "command": [SECRET]}, "command holds a secret of the stack in clear"),
    ({"command": lambda: [pulumi.Output.secret(SECRET)]}, "command is no plain value"),
    ({"network_mode": "host"}, "has network_mode host"),
    ({"pid_mode": "host"}, "has pid_mode host"),
    ({"ipc_mode": "host"}, "has ipc_mode host"),
    ({"userns_mode": "host"}, "has userns_mode host"),
    ({"devices": [{"host_path": "/dev/kvm"}]}, "has devices"),
    ({"mounts": [{"target": "/m", "type": "bind", "source": "/"}]}, "has mounts"),
    ({"volumes": [{"host_path": "/etc", "container_path": "/etc", "read_only": True}]}, "mounts /etc"),
    ({"volumes": [{"host_path": "/etc", "container_path": "/more"}]}, "mounts /more from elsewhere"),
    ({"volumes": [{"container_path": "/more"}]}, "mounts /more from elsewhere"),
    ({"image": "redis:7"}, "has the image redis:7, which may be another tomorrow"),
    ({"image": "runbook/redis:debian12"}, "has the image runbook/redis:debian12"),
    ({"image": lambda: pulumi.Output.from_input("redis:7")}, "has the image redis:7"),
    ({"volumes": a_volume}, "writes volume more-data: protect that"),
    ({"volumes": lambda: a_volume(protect=True)}, "writes volume more-data: protect that"),
]


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize(("arguments", "what"), BROKEN, ids=[what for _, what in BROKEN])
def test_each_rule_names_the_resource_and_what_is_wrong(
    declares: Declares, arguments: dict[str, Any], what: str, preview: bool
) -> None:
    """And no secret."""
    with pytest.raises(pulumi.RunError, match=re.escape(f"policy: more {what}")) as refusal:
        declares(preview=preview, **arguments)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"volumes": lambda: a_volume(protect=True, retain_on_delete=True)},
        {"volumes": lambda: [{**a_volume()[0], "read_only": True}]},
        {"start": False, "user": None, "read_only": None},
        {"image": "docker.io/library/redis@sha256:" + "0" * 64},
        {"image": "runbook/redis:debian12-f0f60077af70-20261129"},
        {"image": "sha256:" + "0" * 64},
    ],
)
def test_what_keeps_the_rules_another_way_is_declared(declares: Declares, arguments: dict[str, Any]) -> None:
    """Protected data, data that is only read, a container that only carries files, names that are fixed."""
    assert declares(**arguments)["more"]
