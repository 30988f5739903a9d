"""`docker:index/container:Container`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.docker_provider import container_fields, container_reading, container_rules, outputs
from infra.docker_provider import container_steps as steps
from infra.docker_provider.check import Failure
from infra.docker_provider.container_health import inspect, unmet
from infra.docker_provider.diff import Change
from infra.docker_provider.engine import Engine
from infra.docker_provider.failures import InitFailed, NotThere, ProviderError
from infra.docker_provider.resource import Found, Made, Properties, Resource

Json = Mapping[str, Any]


class Container(Resource):
    """A container. Nearly every change replaces it, the old one deleted first: both would have one name."""

    token = "docker:index/container:Container"  # noqa: S105 - a type's name
    rules = container_rules.RULES
    unsupported: ClassVar = {
        "networksAdvanced[].gwPriority": "it needs an engine of API 1.48",
        "mounts[].volumeOptions.subpath": "it needs an engine of API 1.45",
    }
    # The official provider reports these as changed in place and then leaves the container as it was.
    replaced_for = frozenset({"healthcheck", "init", "rm", "tmpfs"})
    deletes_first = True

    def conflicts(self, inputs: Properties) -> Iterator[Failure]:
        """What contradicts itself among the inputs."""
        yield from container_rules.conflicts(inputs)

    def diff(self, old: Properties, new: Properties) -> list[Change]:
        """The changes; a limit that is taken away replaces: in place, the engine only ever changes limits."""
        return [
            Change(change.path, change.kind, change.replaces or _loses_limit(change.property, new))
            for change in super().diff(old, new)
        ]

    def create(self, engine: Engine, inputs: Properties) -> Made:
        """Create the container, put it on its networks, fill in its files, start it and wait as asked.

        When one of the steps up to the start fails, the container is removed again.
        """
        container = steps.create(engine, inputs)
        try:
            steps.connect(engine, container, inputs)
            steps.upload(engine, container, inputs)
            before = inspect(engine, container)
            steps.start(engine, container, inputs)
        except BaseException:
            with contextlib.suppress(ProviderError):  # what failed first is what has to be told
                steps.remove(engine, container, inputs)
            raise
        log, problem = _come_up(engine, container, inputs)
        made = self._outputs(inputs, steps.inspect_or(engine, container, before))
        made["containerLogs"] = log or None
        if problem:
            raise InitFailed(problem, container, made)
        return Made(container, made)

    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The container by its id (an import: or its name), with the inputs corrected to what it is now."""
        try:
            seen = inspect(engine, resource_id)
        except NotThere:
            return None
        given = (
            container_reading.imported(engine, seen, self.facts.unset)
            if inputs is None
            else container_reading.corrected(inputs, seen)
        )
        return Found(seen["Id"], self._outputs(given, seen, refreshed=True), given)

    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Change limits and restart policy in place; start the container again where that is called for.

        The engine also asks for this when nothing changed but the create's wait had failed.
        """
        name = new["name"]
        if arguments := container_fields.update_arguments(old, new):
            doing = f"container {name}: cannot be updated"
            engine.call(doing, lambda api: api.update_container(resource_id, **arguments))
        steps.start_again(engine, resource_id, new)
        problem = unmet(engine, resource_id, new)
        found = self._outputs(new, inspect(engine, resource_id))
        if problem:
            raise InitFailed(f"container {name} {problem}", resource_id, found)
        return found

    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Stop the container within its grace (without one SIGKILL follows SIGTERM at once) and remove it."""
        if not properties.get("attach"):
            steps.stop(engine, resource_id, properties)
        steps.remove(engine, resource_id, properties)

    def _outputs(self, inputs: Properties, seen: Json, *, refreshed: bool = False) -> Properties:
        return outputs.assemble(self.facts, inputs, container_reading.told(inputs, seen), refreshed=refreshed)


def _loses_limit(name: str, new: Properties) -> bool:
    return name in container_fields.LIMITS_IN_PLACE and not new.get(name)


def _come_up(engine: Engine, container: str, inputs: Properties) -> tuple[str, str]:
    """Follow a started container as the inputs ask: what it wrote, and what is wrong with it if anything is.

    Whatever fails from here on, the container is there: the state has to know it.
    """
    name = inputs["name"]
    try:
        log = steps.attach(engine, container, inputs)
        problem = unmet(engine, container, inputs)
    except ProviderError as error:
        return "", f"container {name} was started, but not followed: {error}"
    return log, f"container {name} {problem}" if problem else ""
