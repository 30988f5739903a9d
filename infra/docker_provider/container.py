"""`docker:index/container:Container`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.docker_provider import container_fields, container_rules, outputs, uploads
from infra.docker_provider.check import DEFAULTS, Failure
from infra.docker_provider.container_fields import dig
from infra.docker_provider.container_health import inspect, is_running, unmet
from infra.docker_provider.diff import Change
from infra.docker_provider.engine import Engine
from infra.docker_provider.failures import InitFailed, InUse, NotThere, ProviderError
from infra.docker_provider.remote_image import ensure
from infra.docker_provider.resource import Found, Made, Properties, Resource

Json = Mapping[str, Any]

_DEFAULT_NETWORK = "bridge"
_SHORT_ID = 12
_PORT_TAKEN = ("port is already allocated", "address already in use")


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
        container = _create(engine, inputs)
        try:
            _connect(engine, container, inputs)
            _upload(engine, container, inputs)
            before = inspect(engine, container)
            _start(engine, container, inputs)
        except BaseException:
            _remove(engine, container, inputs)
            raise
        log = _attach(engine, container, inputs)
        problem = unmet(engine, container, inputs) if inputs.get("start") else ""
        made = self._outputs(inputs, _inspect_or(engine, container, before)) | (
            {"containerLogs": log} if log else {}
        )
        if problem:
            raise InitFailed(f"container {inputs['name']} {problem}", container, made)
        return Made(container, made)

    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The container by its id (an import: or its name), with the inputs corrected to what it is now."""
        try:
            seen = inspect(engine, resource_id)
        except NotThere:
            return None
        given = _imported(engine, seen, self.facts.unset) if inputs is None else _corrected(inputs, seen)
        return Found(seen["Id"], self._outputs(given, seen, refreshed=True), given)

    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Change limits and restart policy in place; start the container again when it should run."""
        name = new["name"]
        if arguments := container_fields.update_arguments(old, new):
            doing = f"container {name}: cannot be updated"
            engine.call(doing, lambda api: api.update_container(resource_id, **arguments))
        if new.get("start") and new.get("mustRun") and not is_running(inspect(engine, resource_id)):
            _start(engine, resource_id, new)
        problem = unmet(engine, resource_id, new) if new.get("start") else ""
        found = self._outputs(new, inspect(engine, resource_id))
        if problem:
            raise InitFailed(f"container {name} {problem}", resource_id, found)
        return found

    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Stop the container within its grace (without one SIGKILL follows SIGTERM at once) and remove it."""
        if not properties.get("attach"):
            _stop(engine, resource_id, properties)
        _remove(engine, resource_id, properties)

    def _outputs(self, inputs: Properties, seen: Json, *, refreshed: bool = False) -> Properties:
        given = {name for name, value in inputs.items() if value is not None}
        values = {
            name: value for name, value in container_fields.seen_values(seen).items() if name not in given
        }
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
            values["ports"] = container_fields.assigned_ports(inputs["ports"], seen)
        return outputs.assemble(self.facts, inputs, values, refreshed=refreshed)


def _loses_limit(name: str, new: Properties) -> bool:
    return name in container_fields.LIMITS_IN_PLACE and not new.get(name)


def _create(engine: Engine, inputs: Properties) -> str:
    """Create the container, pulling its image where the engine lacks it; its id."""
    whose = f"container {inputs['name']}"
    request = container_fields.creation_request(inputs)

    def create() -> str:
        answer = engine.call(
            f"{whose}: cannot be created",
            lambda api: api.create_container_from_config(request, inputs["name"], inputs.get("platform")),
        )
        return str(answer["Id"])

    try:
        return create()
    except NotThere:
        ensure(engine, whose, inputs["image"], inputs.get("platform"))
        return create()
    except InUse as error:
        raise InUse(error.message, "remove or rename the container that has the name") from None


def _connect(engine: Engine, container: str, inputs: Properties) -> None:
    """Put the container on its networks, and take it off the one that the engine puts all on.

    The official provider does it in this order too, so that `networkMode` reads back as it was given.
    """
    networks = inputs.get("networksAdvanced") or []
    if networks and inputs.get("networkMode", _DEFAULT_NETWORK) == _DEFAULT_NETWORK:
        doing = f"container {inputs['name']}: cannot leave the network {_DEFAULT_NETWORK}"
        engine.call(doing, lambda api: api.disconnect_container_from_network(container, _DEFAULT_NETWORK))
    for network in networks:
        _join(engine, container, inputs, network)


def _join(engine: Engine, container: str, inputs: Properties, network: Json) -> None:
    doing = f"container {inputs['name']}: cannot join the network {network['name']}"
    endpoint = _endpoint(network)
    engine.call(doing, lambda api: api.connect_container_to_network(container, network["name"], **endpoint))


def _endpoint(network: Json) -> dict[str, Any]:
    driver_options = dict(option.split("=", 1) for option in network.get("driverOpts") or ())
    given = {
        "aliases": network.get("aliases"),
        "ipv4_address": network.get("ipv4Address"),
        "ipv6_address": network.get("ipv6Address"),
        "link_local_ips": network.get("linkLocalIps"),
        "mac_address": network.get("macAddress"),
        "driver_opt": driver_options,
    }
    return {name: value for name, value in given.items() if value}


def _upload(engine: Engine, container: str, inputs: Properties) -> None:
    if not inputs.get("uploads"):
        return
    files = ", ".join(upload["file"] for upload in inputs["uploads"])
    archive = uploads.archive(inputs["uploads"])
    doing = f"container {inputs['name']}: {files} cannot be uploaded"
    engine.call(doing, lambda api: api.put_archive(container, "/", archive))


def _start(engine: Engine, container: str, inputs: Properties) -> None:
    if not inputs.get("start"):
        return
    try:
        engine.call(f"container {inputs['name']}: cannot be started", lambda api: api.start(container))
    except ProviderError as error:
        raise type(error)(error.message, _start_hint(error.message, inputs)) from None


def _start_hint(cause: str, inputs: Properties) -> str:
    """What to do about a port that is taken, the one cause for which the engine's own words do not say it."""
    if not any(words in cause for words in _PORT_TAKEN):
        return ""
    ports = [f"{port['ip']}:{port['external']}" for port in inputs.get("ports") or () if port.get("external")]
    return f"it publishes {', '.join(ports)}; end what listens there or give another port"


def _attach(engine: Engine, container: str, inputs: Properties) -> str:
    """Wait for the container's end when the inputs say `attach`; its output when they say `logs` too."""
    if not (inputs.get("attach") and inputs.get("start")):
        return ""
    doing = f"container {inputs['name']}: its end cannot be waited for"
    log = b""
    if inputs.get("logs"):
        log = engine.call(doing, lambda api: b"".join(api.logs(container, stream=True, follow=True)))
    with contextlib.suppress(NotThere):  # with `rm` the engine removes it at its end
        engine.call(doing, lambda api: api.wait(container))
    return log.decode(errors="replace")


def _inspect_or(engine: Engine, container: str, before: Json) -> Json:
    """The container as it is now, or as it was *before* the start if it has removed itself since."""
    try:
        return inspect(engine, container)
    except NotThere:
        return before


def _stop(engine: Engine, container: str, properties: Properties) -> None:
    grace_s = properties.get("destroyGraceSeconds") or 0
    doing = f"container {properties.get('name', container)}: cannot be stopped"
    with contextlib.suppress(NotThere):
        engine.call(doing, lambda api: api.stop(container, timeout=grace_s))


def _remove(engine: Engine, container: str, properties: Properties) -> None:
    """Remove the container; while the engine is at it already (`rm`), this waits for it."""
    volumes = properties.get("removeVolumes", True)
    doing = f"container {properties.get('name', container)}: cannot be removed"
    engine.remove(doing, lambda api: api.remove_container(container, v=volumes, force=True))


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


def _corrected(inputs: Properties, seen: Json) -> Properties:
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


def _imported(engine: Engine, seen: Json, unset: Json) -> Properties:
    """The inputs that would make the container: what its image and the defaults do not say already."""
    image = engine.call(
        f"container {seen['Id'][:_SHORT_ID]}: its image cannot be read",
        lambda api: api.inspect_image(seen["Image"]),
    )
    of_image = container_fields.seen_values({"Config": image.get("Config") or {}})
    values = container_fields.seen_values(seen)
    own = {
        name: value for name, value in values.items() if value not in (unset.get(name), of_image.get(name))
    }
    if own.get("hostname") == seen["Id"][:_SHORT_ID]:
        del own["hostname"]
    for name in ("envs", "labels"):
        remaining = [item for item in own.get(name, []) if item not in of_image.get(name, [])]
        own = {key: value for key, value in own.items() if key != name} | (
            {name: remaining} if remaining else {}
        )
    return own | {"name": seen["Name"].removeprefix("/"), "image": values["image"], DEFAULTS: []}
