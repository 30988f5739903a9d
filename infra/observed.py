"""What the engine has of a stack, whatever its state says: the live route, the releases with containers."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import docker
from docker.models.containers import Container
from pydantic import ValidationError

from infra.live_route import LiveRoute
from infra.manifest import MANIFEST_LABEL, Manifest
from infra.proxy_control import ProxyControl
from infra.stack_name import bare_name, prefix_of

STACK_LABEL = "runbook.stack"
RELEASE_LABEL = "runbook.release"
ROLE_LABEL = "runbook.role"


@dataclass(frozen=True)
class Observed:
    """`live` is None before the first release; `containers` are all of the stack's, running or not."""

    live: LiveRoute | None = None
    containers: tuple[Container, ...] = field(default=(), repr=False)

    @property
    def manifests(self) -> dict[str, Manifest]:
        """By id, the releases that have containers, as those say; one that an older version made does not."""
        found: dict[str, Manifest] = {}
        for container in self.containers:
            try:
                manifest = Manifest.model_validate_json(container.labels.get(MANIFEST_LABEL, ""))
            except ValidationError:
                continue
            found[manifest.id] = manifest
        return found

    def names(self, release: str, role: str) -> list[str]:
        """The names of the *release*'s containers with this *role*, `web` or `worker`."""
        wanted = {RELEASE_LABEL: release, ROLE_LABEL: role}
        return sorted(str(each.name) for each in self.containers if wanted.items() <= each.labels.items())

    def image(self, role: str) -> str:
        """The image of the container with this *role*, or of what gave it its files; empty without both."""
        seeds = (f"-{role}-conf-seed", f"-{role}-routes-seed")
        found = [each for each in self.containers if each.labels.get(ROLE_LABEL) == role]
        found += [each for each in self.containers if str(each.name).endswith(seeds)]
        return str(found[0].attrs["Config"]["Image"]) if found else ""


def observe_stack(stack: str, engine: docker.DockerClient | None = None) -> Observed:
    """Look at *stack*."""
    engine = engine or docker.from_env()
    live = ProxyControl(f"{prefix_of(stack)}-proxy", engine).live_route()
    return Observed(live, tuple(stack_containers(stack, engine)))


def removal_by_hand(stack: str) -> str:
    """The commands that remove what runs of *stack*, whoever made it, and its secrets; its data stays."""
    ours, prefix = f"label={STACK_LABEL}={bare_name(stack)}", prefix_of(stack)
    commands = (
        f"docker rm -f $(docker ps -aq --filter {ours})",
        f"docker network rm {prefix}",
        f"docker volume ls -q --filter {ours} | grep '^{prefix}-secrets-' | xargs -r docker volume rm",
    )
    return ", ".join(f"`{command}`" for command in commands)


def stack_containers(stack: str, engine: docker.DockerClient, *, stopped: bool = True) -> list[Container]:
    """The containers of *stack*; without *stopped* those that run. One removed meanwhile is passed over.

    The SDK asks for the list and then for each container of it: without `ignore_removed` it fails if one of
    them is gone by then, as those of the last release are after an update.
    """
    found: list[Container] = engine.containers.list(
        all=stopped, filters={"label": f"{STACK_LABEL}={bare_name(stack)}"}, ignore_removed=True
    )
    return found


def start_command(container: Container) -> str:
    """What an operator types so that one that stands, or is paused, goes on."""
    return f"docker {'unpause' if container.status == 'paused' else 'start'} {container.name}"


def age_s(container: Container) -> float:
    """For how long a container has run, since it was last started."""
    started = datetime.datetime.fromisoformat(container.attrs["State"]["StartedAt"][:19] + "+00:00")
    return (datetime.datetime.now(datetime.UTC) - started).total_seconds()
