"""How each property of a Container lies in the engine's JSON: one table, for create, read, update and import.

The request that creates a container and the answer that describes it have the same shape (the request has the
members of `Config` at its top), so one path serves both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.docker_provider import container_values as values
from infra.docker_provider import engine_values as ev
from infra.docker_provider.container_values import Json, dig


@dataclass(frozen=True)
class Field:
    """One property: `write` gives paths and values of the request, `read` takes the value from the answer.

    `live` properties can change while the container stays the same one; all others are as they were given.
    """

    name: str
    write: Callable[[Any], dict[str, Any]]
    read: Callable[[Json], Any]
    live: bool = False


def _keep(value: Any) -> Any:
    return value


def _at(
    name: str,
    path: str,
    to_engine: Callable[[Any], Any] = _keep,
    from_engine: Callable[[Any], Any] = _keep,
    *,
    live: bool = False,
) -> Field:
    """A property that lies at one *path*."""
    return Field(
        name, lambda value: {path: to_engine(value)}, lambda seen: from_engine(dig(seen, path)), live
    )


def _objects(name: str, path: str, members: Mapping[str, str]) -> Field:
    """A list of objects whose members have other names in the engine's JSON."""

    def to_engine(items: list[Json]) -> list[dict[str, Any]]:
        return [{members[key]: value for key, value in item.items() if key in members} for item in items]

    def from_engine(items: list[Json] | None) -> list[dict[str, Any]]:
        return [{key: item.get(theirs) for key, theirs in members.items()} for item in items or ()]

    return _at(name, path, to_engine, from_engine)


def _host(name: str, path: str, *, live: bool = False) -> Field:
    return _at(name, f"HostConfig.{path}", live=live)


def _mebibytes(name: str, path: str, *, live: bool = True) -> Field:
    return _at(name, f"HostConfig.{path}", ev.bytes_of, ev.mebibytes_of, live=live)


def _throttle(name: str, path: str) -> Field:
    return _objects(name, f"HostConfig.{path}", {"path": "Path", "rate": "Rate"})


def _never(_seen: Json) -> None:
    """For what cannot be told from the engine's answer."""


FIELDS: tuple[Field, ...] = (
    _at("image", "Config.Image"),
    _at("command", "Config.Cmd"),
    _at("entrypoints", "Config.Entrypoint"),
    _at("envs", "Config.Env"),
    _at("hostname", "Config.Hostname"),
    _at("domainname", "Config.Domainname"),
    _at("user", "Config.User"),
    _at("workingDir", "Config.WorkingDir"),
    _at("labels", "Config.Labels", ev.labels_to_engine, ev.labels_from_engine),
    _at("healthcheck", "Config.Healthcheck", values.health_to_engine, values.health_from_engine),
    _at("stopSignal", "Config.StopSignal"),
    _at("stopTimeout", "Config.StopTimeout"),
    _at("tty", "Config.Tty"),
    _at("stdinOpen", "Config.OpenStdin"),
    Field("ports", values.ports_to_engine, values.ports_from_engine),
    Field("volumes", values.volumes_to_engine, values.volumes_from_engine),
    Field("capabilities", values.capabilities_to_engine, values.capabilities_from_engine),
    _at(
        "mounts",
        "HostConfig.Mounts",
        values.mounts_to_engine,
        values.mounts_from_engine,
    ),
    _host("tmpfs", "Tmpfs"),
    _host("readOnly", "ReadonlyRootfs"),
    _host("restart", "RestartPolicy.Name", live=True),
    _host("maxRetryCount", "RestartPolicy.MaximumRetryCount", live=True),
    _host("rm", "AutoRemove"),
    _mebibytes("memory", "Memory"),
    _mebibytes("memoryReservation", "MemoryReservation"),
    _mebibytes("memorySwap", "MemorySwap"),
    _mebibytes("shmSize", "ShmSize", live=False),
    _at("cpus", "HostConfig.NanoCpus", ev.nano_cpus_of, ev.cpus_of, live=True),
    _host("cpuPeriod", "CpuPeriod", live=True),
    _host("cpuQuota", "CpuQuota", live=True),
    _host("cpuSet", "CpusetCpus", live=True),
    _host("cpuShares", "CpuShares", live=True),
    _throttle("deviceReadBps", "BlkioDeviceReadBps"),
    _throttle("deviceReadIops", "BlkioDeviceReadIOps"),
    _throttle("deviceWriteBps", "BlkioDeviceWriteBps"),
    _throttle("deviceWriteIops", "BlkioDeviceWriteIOps"),
    _objects(
        "devices",
        "HostConfig.Devices",
        {"hostPath": "PathOnHost", "containerPath": "PathInContainer", "permissions": "CgroupPermissions"},
    ),
    Field(
        "deviceRequests",
        lambda value: {"HostConfig.DeviceRequests": values.requests_to_engine(value)},
        _never,
    ),
    Field("gpus", lambda value: {"HostConfig.DeviceRequests": values.gpus_to_engine(value)}, _never),
    _objects("ulimits", "HostConfig.Ulimits", {"name": "Name", "soft": "Soft", "hard": "Hard"}),
    _host("securityOpts", "SecurityOpt"),
    _host("privileged", "Privileged"),
    _host("publishAllPorts", "PublishAllPorts"),
    _host("init", "Init"),
    _host("logDriver", "LogConfig.Type"),
    Field("logOpts", lambda value: {"HostConfig.LogConfig.Config": value}, _never),
    _host("sysctls", "Sysctls"),
    _host("storageOpts", "StorageOpt"),
    _host("networkMode", "NetworkMode"),
    _host("dns", "Dns"),
    _host("dnsOpts", "DnsOptions"),
    _host("dnsSearches", "DnsSearch"),
    _at("hosts", "HostConfig.ExtraHosts", values.hosts_to_engine, values.hosts_from_engine),
    _host("groupAdds", "GroupAdd"),
    _host("pidMode", "PidMode"),
    _host("ipcMode", "IpcMode"),
    _host("usernsMode", "UsernsMode"),
    _host("runtime", "Runtime"),
    _host("cgroupParent", "CgroupParent"),
    Field("cgroupnsMode", lambda value: {"HostConfig.CgroupnsMode": value}, _never),
)

_UPDATE_ARGUMENTS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "memory": ("mem_limit", ev.bytes_of),
    "memoryReservation": ("mem_reservation", ev.bytes_of),
    "memorySwap": ("memswap_limit", ev.bytes_of),
    "cpuPeriod": ("cpu_period", _keep),
    "cpuQuota": ("cpu_quota", _keep),
    "cpuShares": ("cpu_shares", _keep),
    "cpuSet": ("cpuset_cpus", _keep),
}
"""What `docker update` changes in place: the argument of docker-py's `update_container`, and its form."""

LIMITS_IN_PLACE = frozenset(_UPDATE_ARGUMENTS)


def creation_request(inputs: Json) -> dict[str, Any]:
    """The body of the engine's create request. Zero values are left to the engine, as the official one does.

    `Init` is always said, because the official provider does not leave it to the engine's own default.
    """
    request: dict[str, Any] = {"HostConfig": {"Init": False}}
    for field in FIELDS:
        if inputs.get(field.name):
            for path, value in field.write(inputs[field.name]).items():
                _put(request, path.removeprefix("Config."), value)
    return request


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last] = value


def update_arguments(old: Json, new: Json) -> dict[str, Any]:
    """The arguments of docker-py's `update_container`; empty when nothing that it covers changed.

    The limit of memory with swap goes along with the limit of memory: the engine refuses the one above the
    other. Where it was not given, it is twice the other, as the engine sets it at the create.
    """
    arguments = {
        argument: to_engine(new[name])
        for name, (argument, to_engine) in _UPDATE_ARGUMENTS.items()
        if new.get(name) and old.get(name) != new[name]
    }
    if "mem_limit" in arguments:
        arguments["memswap_limit"] = ev.bytes_of(new.get("memorySwap") or 2 * new["memory"])
    if any(old.get(name) != new.get(name) for name in ("restart", "maxRetryCount")):
        arguments["restart_policy"] = {
            "Name": new["restart"],
            "MaximumRetryCount": new.get("maxRetryCount", 0),
        }
    return arguments


def seen_values(seen: Json) -> dict[str, Any]:
    """Every property that can be told from the engine's answer and is not nothing."""
    values = {field.name: field.read(seen) for field in FIELDS}
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, 0)}


def drifted(inputs: Json, seen: Json) -> dict[str, Any]:
    """The live properties that were given one way and are another way now, as they are now."""
    return {
        field.name: field.read(seen) or _NONE.get(field.name, 0)
        for field in FIELDS
        if _has_drifted(field, inputs, seen)
    }


_NONE = {"cpus": "", "cpuSet": "", "restart": "no"}
"""What a live property that is no longer limited reads as; the others read as 0."""


def _has_drifted(field: Field, inputs: Json, seen: Json) -> bool:
    given = inputs.get(field.name)
    return (
        field.live
        and bool(given)
        and any(dig(seen, path) != value for path, value in field.write(given).items())
    )
