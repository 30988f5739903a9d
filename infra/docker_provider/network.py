"""`docker:index/network:Network`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.docker_provider import outputs
from infra.docker_provider.engine import Engine
from infra.docker_provider.engine_values import labels_from_engine, labels_to_engine
from infra.docker_provider.failures import InUse, NotThere
from infra.docker_provider.resource import Found, Made, Properties, Resource

_IPAM = {"subnet": "Subnet", "ipRange": "IPRange", "gateway": "Gateway", "auxAddress": "AuxiliaryAddresses"}


class Network(Resource):
    """A network. The engine changes nothing about one in place, so every change replaces it."""

    token = "docker:index/network:Network"  # noqa: S105 - a type's name

    def create(self, engine: Engine, inputs: Properties) -> Made:
        """Make the network; refused when its name is taken."""
        doing = f"network {inputs['name']}: cannot be created"
        answer = engine.call(doing, lambda api: api.create_network(**_request(inputs)))
        seen = _inspect(engine, answer["Id"])
        return Made(answer["Id"], outputs.assemble(self.facts, inputs, seen))

    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The network by its id, or by its name for an import."""
        try:
            seen = _inspect(engine, resource_id)
        except NotThere:
            return None
        found = outputs.assemble(self.facts, inputs or {}, seen, refreshed=True)
        return Found(seen["id"], found, _imported(seen) if inputs is None else inputs)

    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Nothing of a network changes in place."""
        return outputs.assemble(self.facts, new, _inspect(engine, resource_id))

    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Remove the network; refused while containers are attached to it."""
        doing = f"network {properties.get('name', resource_id)}: cannot be removed"
        try:
            engine.remove(doing, lambda api: api.remove_network(resource_id))
        except InUse as error:
            attached = [container["name"] for container in look_up(engine, resource_id)["containers"]]
            names = ", ".join(attached) or "(none that the engine names)"
            raise InUse(error.message, f"still attached: {names}; remove or disconnect them first") from None


def look_up(engine: Engine, name: str) -> Properties:
    """The result of the function `getNetwork`: the network *name* with the containers attached to it.

    Raises:
        NotThere: no such network.
    """
    answer = engine.call(f"network {name}: cannot be read", lambda api: api.inspect_network(name))
    seen = _outputs(answer)
    wanted = ("driver", "id", "internal", "ipamConfigs", "name", "options", "scope")
    containers = [_attached(key, value) for key, value in (answer.get("Containers") or {}).items()]
    return {name: seen[name] for name in wanted} | {"containers": containers}


def _attached(container_id: str, endpoint: Mapping[str, Any]) -> Properties:
    return {
        "containerId": container_id,
        "endpointId": endpoint["EndpointID"],
        "ipv4Address": endpoint["IPv4Address"],
        "ipv6Address": endpoint["IPv6Address"],
        "macAddress": endpoint["MacAddress"],
        "name": endpoint["Name"],
    }


def _request(inputs: Properties) -> dict[str, Any]:
    pools = [
        {_IPAM[name]: value for name, value in pool.items() if name in _IPAM}
        for pool in inputs.get("ipamConfigs", ())
    ]
    ipam = {"Driver": inputs.get("ipamDriver"), "Config": pools, "Options": inputs.get("ipamOptions")}
    return {
        "name": inputs["name"],
        "driver": inputs.get("driver"),
        "options": inputs.get("options"),
        "ipam": {name: value for name, value in ipam.items() if value},
        "check_duplicate": True,
        "internal": inputs.get("internal", False),
        "labels": labels_to_engine(inputs.get("labels", ())),
        "enable_ipv6": inputs.get("ipv6", False),
        "attachable": inputs.get("attachable"),
        "ingress": inputs.get("ingress"),
    }


def _inspect(engine: Engine, network: str) -> Properties:
    return _outputs(
        engine.call(f"network {network}: cannot be read", lambda api: api.inspect_network(network))
    )


def _outputs(seen: Mapping[str, Any]) -> Properties:
    ipam = seen["IPAM"]
    found = {
        "id": seen["Id"],
        "name": seen["Name"],
        "driver": seen["Driver"],
        "scope": seen["Scope"],
        "internal": seen["Internal"],
        "attachable": seen["Attachable"],
        "ingress": seen["Ingress"],
        "ipv6": seen["EnableIPv6"],
        "options": seen["Options"] or {},
        "labels": labels_from_engine(seen["Labels"]),
        "ipamDriver": ipam["Driver"],
        "ipamConfigs": [_pool(pool) for pool in ipam["Config"] or ()],
    }
    return found | ({"ipamOptions": ipam["Options"]} if ipam["Options"] else {})


def _pool(pool: Mapping[str, Any]) -> Properties:
    return {name: pool.get(key) or ({} if name == "auxAddress" else "") for name, key in _IPAM.items()}


def _imported(seen: Properties) -> Properties:
    kept = (
        "name",
        "driver",
        "internal",
        "attachable",
        "ingress",
        "ipv6",
        "options",
        "labels",
        "ipamDriver",
        "ipamConfigs",
    )
    return {name: seen[name] for name in kept if seen[name]} | {"__defaults": []}
