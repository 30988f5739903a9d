"""`docker:index/volume:Volume`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from infra.docker_provider import outputs
from infra.docker_provider.diff import changes
from infra.docker_provider.engine import Engine
from infra.docker_provider.engine_values import labels_from_engine, labels_to_engine
from infra.docker_provider.failures import InUse, NotThere
from infra.docker_provider.resource import Found, Made, Properties, Resource


class Volume(Resource):
    """A volume. Its id is its name, so another volume of that name shows as a change."""

    token = "docker:index/volume:Volume"  # noqa: S105 - a type's name
    unsupported: ClassVar = {"cluster": "cluster volumes need Swarm and an engine of API 1.42"}

    def create(self, engine: Engine, inputs: Properties) -> Made:
        """Make the volume. The engine hands back one that is already there under the name."""
        name = inputs["name"]
        labels = labels_to_engine(inputs.get("labels", ()))
        seen = engine.call(
            f"volume {name}: cannot be created",
            lambda api: api.create_volume(name, inputs.get("driver"), inputs.get("driverOpts"), labels),
        )
        return Made(seen["Name"], outputs.assemble(self.facts, inputs, _outputs(seen)))

    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The volume by its name, with the inputs corrected to what it is now."""
        try:
            seen = _inspect(engine, resource_id)
        except NotThere:
            return None
        found = outputs.assemble(self.facts, inputs or {}, seen, refreshed=True)
        return Found(resource_id, found, _imported(seen) if inputs is None else self._corrected(inputs, seen))

    def _corrected(self, inputs: Properties, seen: Properties) -> Properties:
        specs = self.facts.inputs.properties
        drifted = {
            name: seen[name]
            for name in ("driver", "driverOpts", "labels")
            if name in inputs and any(changes(specs[name], inputs[name], seen.get(name)))
        }
        return inputs | drifted

    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Nothing of a volume changes in place."""
        return outputs.assemble(self.facts, new, _inspect(engine, resource_id))

    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Remove the volume and what is in it; refused while a container uses it."""
        doing = f"volume {resource_id}: cannot be removed"
        try:
            engine.remove(doing, lambda api: api.remove_volume(resource_id))
        except InUse as error:
            raise InUse(error.message, "remove the containers that use it first") from None


def _inspect(engine: Engine, name: str) -> Properties:
    return _outputs(engine.call(f"volume {name}: cannot be read", lambda api: api.inspect_volume(name)))


def _outputs(seen: Mapping[str, Any]) -> Properties:
    found = {
        "id": seen["Name"],
        "name": seen["Name"],
        "driver": seen["Driver"],
        "labels": labels_from_engine(seen["Labels"]),
        "mountpoint": seen["Mountpoint"],
    }
    return found | ({"driverOpts": seen["Options"]} if seen["Options"] else {})


def _imported(seen: Properties) -> Properties:
    kept = ("name", "driver", "driverOpts", "labels")
    return {name: seen[name] for name in kept if seen.get(name)} | {"__defaults": []}
