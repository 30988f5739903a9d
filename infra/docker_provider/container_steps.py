"""The single steps of a container's life at the engine, each with the words of its failure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from infra.docker_provider import container_fields, uploads
from infra.docker_provider.container_health import inspect, is_running
from infra.docker_provider.container_values import dig
from infra.docker_provider.engine import Engine
from infra.docker_provider.failures import InUse, NotThere, ProviderError
from infra.docker_provider.remote_image import ensure
from infra.docker_provider.resource import Properties

Json = Mapping[str, Any]

_DEFAULT_NETWORK = "bridge"
_PORT_TAKEN = ("port is already allocated", "address already in use")


def create(engine: Engine, inputs: Properties) -> str:
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


def connect(engine: Engine, container: str, inputs: Properties) -> None:
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


def upload(engine: Engine, container: str, inputs: Properties) -> None:
    """Put the files in, before anything in the container runs."""
    if not inputs.get("uploads"):
        return
    files = ", ".join(upload["file"] for upload in inputs["uploads"])
    archive = uploads.archive(inputs["uploads"])
    doing = f"container {inputs['name']}: {files} cannot be uploaded"
    engine.call(doing, lambda api: api.put_archive(container, "/", archive))


def start(engine: Engine, container: str, inputs: Properties) -> None:
    """Start the container, unless it is only to be created."""
    if not inputs.get("start"):
        return
    try:
        engine.call(f"container {inputs['name']}: cannot be started", lambda api: api.start(container))
    except ProviderError as error:
        raise type(error)(error.message, _start_hint(error.message, inputs)) from None


def _start_hint(cause: str, inputs: Properties) -> str:
    """What to do about a port that is taken: of this cause the engine's own words do not say it."""
    if not any(words in cause for words in _PORT_TAKEN):
        return ""
    ports = [f"{port['ip']}:{port['external']}" for port in inputs.get("ports") or () if port.get("external")]
    return f"it publishes {', '.join(ports)}; end what listens there or give another port"


def start_again(engine: Engine, container: str, inputs: Properties) -> None:
    """Start a container that should run but has stopped; restart one that should be healthy but is not."""
    seen = inspect(engine, container)
    if not is_running(seen):
        if inputs.get("mustRun"):
            start(engine, container, inputs)
    elif inputs.get("wait") and dig(seen, "State.Health.Status") == "unhealthy":
        grace_s = inputs.get("destroyGraceSeconds") or 0
        doing = f"container {inputs['name']}: cannot be restarted"
        engine.call(doing, lambda api: api.restart(container, timeout=grace_s))


def attach(engine: Engine, container: str, inputs: Properties) -> str:
    """Wait for the container's end when the inputs say `attach`; its output when they say `logs` too."""
    if not (inputs.get("attach") and inputs.get("start")):
        return ""
    doing = f"container {inputs['name']}: its end cannot be waited for"
    with contextlib.suppress(NotThere):  # with `rm` the engine removes it, and its output, at its end
        engine.call(doing, lambda api: api.wait(container))
        if inputs.get("logs"):
            return str(engine.call(doing, lambda api: api.logs(container)).decode(errors="replace"))
    return ""


def inspect_or(engine: Engine, container: str, before: Json) -> Json:
    """The container as it is now, or as it was *before* the start if it cannot be read any more."""
    try:
        return inspect(engine, container)
    except ProviderError:
        return before


def stop(engine: Engine, container: str, properties: Properties) -> None:
    """Stop the container: SIGTERM, then SIGKILL after the grace that it was given."""
    grace_s = properties.get("destroyGraceSeconds") or 0
    doing = f"container {properties.get('name', container)}: cannot be stopped"
    with contextlib.suppress(NotThere):
        engine.call(doing, lambda api: api.stop(container, timeout=grace_s))


def remove(engine: Engine, container: str, properties: Properties) -> None:
    """Remove the container; while the engine is at it already (`rm`), this waits for it."""
    volumes = properties.get("removeVolumes", True)
    doing = f"container {properties.get('name', container)}: cannot be removed"
    engine.remove(doing, lambda api: api.remove_container(container, v=volumes, force=True))
