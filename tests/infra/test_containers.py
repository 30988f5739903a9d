"""Commands inside a stack's containers, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from infra.base_images import Mode, Role, ensure, resolve
from infra.containers import ContainerExec, ContainerGone
from infra.errors import Refused

pytestmark = pytest.mark.integration


@pytest.fixture
def container() -> Iterator[Container]:
    """One that waits."""
    image = resolve(Role.PYTHON, Mode.AUTO)
    ensure(image, print)
    made = docker.from_env().containers.run(
        image.name, ["sleep", "600"], init=True, detach=True, network_mode="none"
    )
    yield made
    made.remove(force=True)


def test_what_runs_no_command_is_named(container: Container) -> None:
    """Gone, or not running."""
    assert ContainerExec(container.name or "").run(["echo", "here"]) == (0, "here\n")
    container.stop(timeout=0)
    with pytest.raises(Refused, match=f"container {container.name} does not run"):
        ContainerExec(container.name or "").run(["true"])
    with pytest.raises(ContainerGone, match="there is no container test-none"):
        ContainerExec("test-none").run(["true"])
