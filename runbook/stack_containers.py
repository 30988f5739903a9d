"""The containers that the engine has of a stack."""

from __future__ import annotations

import docker
from docker.models.containers import Container

from runbook.workspace import bare_name


def containers_of(stack: str, engine: docker.DockerClient, *, stopped: bool = False) -> list[Container]:
    """Those that run, or with *stopped* all. One that is removed meanwhile is not among them.

    The SDK asks for the list and then for each container of it: without `ignore_removed` it fails if one of
    them is gone by then, as those of the last release are after an update.
    """
    return engine.containers.list(
        all=stopped, filters={"label": f"runbook.stack={bare_name(stack)}"}, ignore_removed=True
    )
