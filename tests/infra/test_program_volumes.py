"""Which volumes and networks the program declares, and that nothing makes Pulumi delete one in use."""

from __future__ import annotations

import pytest
from declared_stack import PREFIX, DeclaredStack, declare
from fake_docker_api import fake_docker

from infra.dynamic.stack_id import STATE_LABEL


@pytest.fixture(scope="module")
def stack() -> DeclaredStack:
    """A dev stack's first update."""
    with fake_docker() as engine:
        return declare(engine.host)


def test_what_holds_data_is_protected_and_never_deleted_by_pulumi(stack: DeclaredStack) -> None:
    """The accepted messages, and the routes that say who is live."""
    kept = {each.name for each in stack.of("Volume") if each.protect and each.retain_on_delete}
    assert kept == {f"{PREFIX}-redis-data", f"{PREFIX}-proxy-routes"}


def test_what_a_running_container_writes_is_protected(stack: DeclaredStack) -> None:
    """Whatever is mounted for writing holds data; what is only read can be made again."""
    written = {
        mount["volumeName"]
        for container in stack.containers()
        for mount in container.inputs.get("volumes", [])
        if not mount.get("readOnly")
    }
    assert written == {each.name for each in stack.of("Volume") if each.protect}


def test_no_volume_is_made_anew_for_how_it_differs(stack: DeclaredStack) -> None:
    """Labels and drivers are what the volume has: one that was restored from a backup has none of ours."""
    for volume in stack.of("Volume"):
        assert {"driver", "driverOpts", "labels"} <= set(volume.ignore_changes), volume.name
        assert volume.inputs["name"] == volume.name


def test_a_network_is_not_made_anew_for_its_labels(stack: DeclaredStack) -> None:
    """It would be deleted first, under the live containers. A new one has the state's id to be found by."""
    network = stack[f"{PREFIX}-network"]
    assert "labels" in network.ignore_changes
    assert {"label": STATE_LABEL, "value": "id-of-the-state"} in network.inputs["labels"]
