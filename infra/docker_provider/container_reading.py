"""What the engine's description of a container says: outputs, drift from the inputs, and imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.docker_provider import container_fields, container_values
from infra.docker_provider.check import DEFAULTS
from infra.docker_provider.container_health import is_running
from infra.docker_provider.container_values import dig
from infra.docker_provider.engine import Engine
from infra.docker_provider.resource import Properties

Json = Mapping[str, Any]

_SHORT_ID = 12


def told(inputs: Properties, seen: Json) -> Properties:
    """The outputs that the engine decides: what was not given, what has drifted, and what only it knows."""
    given = {name for name, value in inputs.items() if value is not None}
    values = container_fields.seen_values(seen)
    values = {name: value for name, value in values.items() if name not in given}
    values |= container_fields.drifted(inputs, seen)
    values |= {
        "id": seen["Id"],
        "name": seen["Name"].removeprefix("/"),
        "bridge": dig(seen, "NetworkSettings.Bridge") or "",
        "platform": seen.get("Platform") or "",
        "networkDatas": [_network_data(*item) for item in _networks(seen).items()],
        "exitCode": None if is_running(seen) else dig(seen, "State.ExitCode"),
    }
    if inputs.get("ports"):
        values["ports"] = container_values.assigned_ports(inputs["ports"], seen)
    return values


def _networks(seen: Json) -> Mapping[str, Json]:
    return dig(seen, "NetworkSettings.Networks") or {}


def _network_data(name: str, endpoint: Json) -> Properties:
    return {
        "networkName": name,
        "ipAddress": endpoint["IPAddress"],
        "ipPrefixLength": endpoint["IPPrefixLen"],
        "gateway": endpoint["Gateway"],
        "globalIpv6Address": endpoint["GlobalIPv6Address"],
        "globalIpv6PrefixLength": endpoint["GlobalIPv6PrefixLen"],
        "ipv6Gateway": endpoint["IPv6Gateway"],
        "macAddress": endpoint["MacAddress"],
    }


def corrected(inputs: Properties, seen: Json) -> Properties:
    """The inputs with what has drifted: limits, name, networks it was taken off, and that it no longer runs.

    Everything else of a container cannot change while it is the same container.
    """
    result = inputs | container_fields.drifted(inputs, seen) | {"name": seen["Name"].removeprefix("/")}
    if inputs.get("networksAdvanced"):
        known = {key for name, endpoint in _networks(seen).items() for key in (name, endpoint["NetworkID"])}
        result["networksAdvanced"] = [item for item in inputs["networksAdvanced"] if item["name"] in known]
    if inputs.get("start") and inputs.get("mustRun") and not inputs.get("attach") and not is_running(seen):
        # Shows as a change that the next update answers by starting it, as the official provider has it.
        result["mustRun"] = False
    return result


def imported(engine: Engine, seen: Json, unset: Json) -> Properties:
    """The inputs that would make the container: what its image and the defaults do not say already."""
    doing = f"container {seen['Id'][:_SHORT_ID]}: its image cannot be read"
    image = engine.call(doing, lambda api: api.inspect_image(seen["Image"]))
    of_image = container_fields.seen_values({"Config": image.get("Config") or {}})
    own = {
        name: _own(value, of_image.get(name))
        for name, value in container_fields.seen_values(seen).items()
        if value not in (unset.get(name), of_image.get(name), seen["Id"][:_SHORT_ID])
    }
    if own.get("memorySwap") == 2 * own.get("memory", 0):
        own.pop("memorySwap", None)  # the engine's own addition to a limit of memory
    return own | {"name": seen["Name"].removeprefix("/"), DEFAULTS: []}


def _own(value: Any, of_image: Any) -> Any:
    """Of the variables and labels, those that the image did not bring along."""
    if isinstance(value, list) and isinstance(of_image, list):
        return [item for item in value if item not in of_image]
    return value
