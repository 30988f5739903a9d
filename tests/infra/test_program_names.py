"""The names of what the program declares."""

from __future__ import annotations

import re

import pulumi
import pytest
from declared_stack import PREFIX, declare
from fake_docker_api import fake_docker

from runbook.restore_by_state import SHARED


@pytest.mark.parametrize("stack", ["dev-" + "x" * 34, "dev-A.b_c", "dev.", "dev-_"])
def test_every_name_of_a_host_can_be_resolved(stack: str) -> None:
    """63 characters at most between two dots, whatever the stack is called."""
    with fake_docker() as engine:
        declared = declare(engine.host, stack=stack, layout={"web_replicas": 32})
    names = [
        alias
        for container in declared.containers()
        for network in container.inputs["networksAdvanced"]
        for alias in network["aliases"]
    ]
    assert f"runbook-{stack}-web-32-" in " ".join(names)
    assert max(len(label) for name in names if "-worker-" not in name for label in name.split(".")) <= 63


def test_a_rollback_knows_what_every_release_needs() -> None:
    """It makes again what the state lacks of that; a release's own parts have its id in their names."""
    with fake_docker() as engine:
        declared = declare(engine.host)
    names = {each.name for each in declared.resources if each.type.startswith("docker:")}
    shared = {
        name for name in names if name.startswith(PREFIX) and not re.search("-r-[0-9a-f]{7}|-sandbox", name)
    }
    assert shared == {f"{PREFIX}-{part}" for part in SHARED}


def test_a_stack_whose_hosts_could_not_be_resolved_is_refused() -> None:
    """By `bin/pulumi up` too."""
    with fake_docker() as engine, pytest.raises(pulumi.RunError, match="has 39 characters, 38 at most"):
        declare(engine.host, stack="dev-" + "x" * 35)
