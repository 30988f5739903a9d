"""The end of a stack's volumes: `destroy` alone removes them, whatever the state knows of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.volumes import Volume

from infra.dynamic.stack_id import STATE_LABEL
from infra.stack_name import bare_name
from infra.stack_settings import DATA_VOLUMES, SEEN_VOLUMES
from runbook.errors import RunbookError

_IN_USE = 409
_TYPE = "docker:index/volume:Volume"


def remove_volumes(
    stack: str, state_id: str | None, engine: docker.DockerClient, known: Collection[str] = ()
) -> None:
    """Remove the volumes with data, and those that an update of the state *state_id* left when it was killed.

    Another checkout's stay, but for those that the state has *known*: it took them over, with their data,
    when the state that made them was lost.

    Raises:
        RunbookError: one cannot be removed, or a container uses it; the others are gone then.
    """
    if state_id is None:  # nothing was ever made from here
        return
    used: list[str] = []
    for volume in _volumes_of(stack, engine):
        made_by = (volume.attrs.get("Labels") or {}).get(STATE_LABEL, state_id)
        if made_by != state_id and volume.name not in known:
            continue
        try:
            volume.remove()
        except NotFound:
            continue
        except APIError as error:
            if error.status_code != _IN_USE:
                raise RunbookError(
                    f"volume {volume.name} cannot be removed: {error.explanation}",
                    "mend the cause and run the same command again",
                ) from error
            used.append(str(volume.name))
    if used:
        raise RunbookError(
            f"volumes stay, since containers that are not in this state use them: {', '.join(used)}",
            f"`docker ps -a --filter volume={used[0]}` lists them; remove them, then the same command again",
        )


def volumes_in(deployment: Mapping[str, Any]) -> set[str]:
    """The names of the volumes that a state knows."""
    resources = deployment.get("resources") or []
    return {each["id"] for each in resources if each.get("type") == _TYPE and each.get("id")}


def _volumes_of(stack: str, engine: docker.DockerClient) -> list[Volume]:
    """Those with the stack's label, and those with data: one that was restored by hand has no label."""
    found = engine.volumes.list(filters={"label": f"runbook.stack={bare_name(stack)}"})
    kept = (*DATA_VOLUMES, *SEEN_VOLUMES)
    names = {f"runbook-{bare_name(stack)}-{part}" for part in kept} - {each.name for each in found}
    for name in sorted(names):
        try:
            found.append(engine.volumes.get(name))
        except NotFound:
            continue
    return found
