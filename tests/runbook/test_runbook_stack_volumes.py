"""The volumes of a stack, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import docker
import pytest
from abandoned import OURS, remove_abandoned
from docker.errors import NotFound

from infra.base_images import Mode, Role, ensure, resolve
from runbook.errors import RunbookError
from runbook.stack_volumes import remove_volumes

pytestmark = pytest.mark.integration

LABELS = {"runbook.stack": OURS}


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    """The machine's; what the test made of the stack is removed from it."""
    remove_abandoned()
    engine = docker.from_env()
    yield engine
    for container in engine.containers.list(all=True, filters={"label": f"runbook.stack={OURS}"}):
        container.remove(force=True)
    for name in ("secrets-r-1", "redis-data", "in-use", "of-another", "of-another-state"):
        with suppress(NotFound):
            engine.volumes.get(f"runbook-{OURS}-{name}").remove()


def test_what_holds_data_or_has_the_label_is_removed(engine: docker.DockerClient) -> None:
    """Data that was restored by hand has no label; others' volumes stay."""
    engine.volumes.create(f"runbook-{OURS}-redis-data")
    engine.volumes.create(f"runbook-{OURS}-secrets-r-1", labels=LABELS)
    engine.volumes.create(f"runbook-{OURS}-of-another", labels={"runbook.stack": f"{OURS}-of"})
    engine.volumes.create(f"runbook-{OURS}-of-another-state", labels=LABELS | {"runbook.state": "two"})
    remove_volumes(OURS, None, engine)
    assert engine.volumes.get(f"runbook-{OURS}-redis-data")
    remove_volumes(OURS, "one", engine, [f"runbook-{OURS}-not-there"])
    left = [volume.name for volume in engine.volumes.list() if volume.name.startswith(f"runbook-{OURS}")]
    assert sorted(left) == [f"runbook-{OURS}-of-another", f"runbook-{OURS}-of-another-state"]
    remove_volumes(OURS, "one", engine, [f"runbook-{OURS}-of-another-state"])
    left = [volume.name for volume in engine.volumes.list() if volume.name.startswith(f"runbook-{OURS}")]
    assert left == [f"runbook-{OURS}-of-another"]


def test_what_a_container_uses_stays_and_is_named(engine: docker.DockerClient) -> None:
    """It may be another checkout's. The others go."""
    image = resolve(Role.PYTHON, Mode.AUTO)
    ensure(image, print)
    name = f"runbook-{OURS}-in-use"
    engine.volumes.create(name, labels=LABELS)
    engine.containers.create(image.name, ["true"], labels=LABELS, volumes={name: {"bind": "/x"}})
    engine.volumes.create(f"runbook-{OURS}-redis-data", labels=LABELS)
    with pytest.raises(RunbookError, match=rf"volumes stay, .*: {name}\n"):
        remove_volumes(OURS, "one", engine)
    left = [volume.name for volume in engine.volumes.list() if volume.name.startswith(f"runbook-{OURS}")]
    assert left == [name]
