"""The properties of a Container that the engine's JSON has in another shape than Pulumi's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.docker_provider import engine_values as ev

Json = Mapping[str, Any]


def dig(seen: Json, path: str) -> Any:
    """The value at the dotted *path*, None where there is nothing."""
    value: Any = seen
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def health_to_engine(check: Json) -> dict[str, Any]:
    """A health check; durations become nanoseconds."""
    return {
        "Test": check.get("tests", []),
        "Interval": ev.nanoseconds_of(check["interval"]),
        "Timeout": ev.nanoseconds_of(check["timeout"]),
        "StartPeriod": ev.nanoseconds_of(check["startPeriod"]),
        "StartInterval": ev.nanoseconds_of(check["startInterval"]),
        "Retries": check.get("retries", 0),
    }


def health_from_engine(check: Json | None) -> dict[str, Any] | None:
    """A health check as the schema has it; None when the container has none."""
    if not check:
        return None
    return {
        "tests": check.get("Test") or [],
        "interval": ev.duration_of(check.get("Interval")),
        "timeout": ev.duration_of(check.get("Timeout")),
        "startPeriod": ev.duration_of(check.get("StartPeriod")),
        "startInterval": ev.duration_of(check.get("StartInterval")),
        "retries": check.get("Retries", 0),
    }


def capabilities_to_engine(capabilities: Json) -> dict[str, Any]:
    """Added and dropped capabilities, which lie apart in the request."""
    return {
        "HostConfig.CapAdd": capabilities.get("adds", []),
        "HostConfig.CapDrop": capabilities.get("drops", []),
    }


def capabilities_from_engine(seen: Json) -> dict[str, Any] | None:
    """Added and dropped capabilities; None when there are none."""
    added, dropped = dig(seen, "HostConfig.CapAdd") or [], dig(seen, "HostConfig.CapDrop") or []
    return {"adds": added, "drops": dropped} if added or dropped else None


def ports_to_engine(ports: list[Json]) -> dict[str, Any]:
    """Ports, to be exposed and bound."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        binding = {"HostPort": str(port.get("external", 0)), "HostIp": port["ip"]}
        bindings.setdefault(_port_key(port), []).append(binding)
    return {"Config.ExposedPorts": {key: {} for key in bindings}, "HostConfig.PortBindings": bindings}


def ports_from_engine(seen: Json) -> list[dict[str, Any]]:
    """The ports that are bound, or are to be once the container runs."""
    bound = dig(seen, "NetworkSettings.Ports") or dig(seen, "HostConfig.PortBindings") or {}
    return [_port(key, binding) for key, bindings in sorted(bound.items()) for binding in bindings or ()]


def _port(key: str, binding: Json) -> dict[str, Any]:
    internal, _, protocol = key.partition("/")
    external = int(binding["HostPort"] or 0)
    return {"internal": int(internal), "external": external, "ip": binding["HostIp"], "protocol": protocol}


def _port_key(port: Json) -> str:
    return f"{port['internal']}/{port['protocol']}"


def assigned_ports(ports: list[Json], seen: Json) -> list[dict[str, Any]]:
    """The *ports* as given, with the number that the engine chose where none was given."""
    chosen = {_port_key(port): port["external"] for port in ports_from_engine(seen)}
    return [
        dict(port) if port.get("external") else {**port, "external": chosen.get(_port_key(port))}
        for port in ports
    ]


def volumes_to_engine(volumes: list[Json]) -> dict[str, Any]:
    """Named volumes and host paths are `Binds`, anonymous ones `Volumes`, other containers' `VolumesFrom`."""
    paths = [volume["containerPath"] for volume in volumes if volume.get("containerPath")]
    return {
        "Config.Volumes": {path: {} for path in paths},
        "HostConfig.Binds": [bind for volume in volumes if (bind := _bind(volume))],
        "HostConfig.VolumesFrom": [
            volume["fromContainer"] for volume in volumes if volume.get("fromContainer")
        ],
    }


def _bind(volume: Json) -> str:
    source = volume.get("hostPath") or volume.get("volumeName")
    if not source:
        return ""
    mode = ["ro" if volume.get("readOnly") else "rw", *filter(None, [volume.get("selinuxRelabel")])]
    return f"{source}:{volume['containerPath']}:{','.join(mode)}"


def volumes_from_engine(seen: Json) -> list[dict[str, Any]]:
    """Binds and other containers' volumes; anonymous volumes cannot be told from the image's."""
    binds = [_volume(bind) for bind in dig(seen, "HostConfig.Binds") or ()]
    return binds + [{"fromContainer": name} for name in dig(seen, "HostConfig.VolumesFrom") or ()]


def _volume(bind: str) -> dict[str, Any]:
    source, path, *mode = bind.split(":")
    where = "hostPath" if source.startswith("/") else "volumeName"
    return {where: source, "containerPath": path, "readOnly": "ro" in ",".join(mode).split(",")}


def mounts_to_engine(mounts: list[Json]) -> list[dict[str, Any]]:
    """Mounts with the options of their type."""
    return [_mount_to_engine(mount) for mount in mounts]


def mounts_from_engine(mounts: list[Json] | None) -> list[dict[str, Any]]:
    """Mounts without their options."""
    return [_mount_from_engine(mount) for mount in mounts or ()]


def _mount_to_engine(mount: Json) -> dict[str, Any]:
    request = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount.get("source", ""),
        "ReadOnly": mount.get("readOnly", False),
    }
    return request | dict(_mount_options(mount))


def _mount_options(mount: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    if bind := mount.get("bindOptions"):
        yield "BindOptions", {"Propagation": bind.get("propagation", "")}
    if volume := mount.get("volumeOptions"):
        driver = {"Name": volume.get("driverName", ""), "Options": volume.get("driverOptions", {})}
        labels = ev.labels_to_engine(volume.get("labels", ()))
        yield (
            "VolumeOptions",
            {"NoCopy": volume.get("noCopy", False), "Labels": labels, "DriverConfig": driver},
        )
    if tmpfs := mount.get("tmpfsOptions"):
        yield "TmpfsOptions", {"SizeBytes": tmpfs.get("sizeBytes", 0), "Mode": tmpfs.get("mode", 0)}


def _mount_from_engine(mount: Json) -> dict[str, Any]:
    names = {"type": "Type", "target": "Target", "source": "Source", "readOnly": "ReadOnly"}
    return {name: mount[key] for name, key in names.items() if mount.get(key)}


def hosts_to_engine(hosts: list[Json]) -> list[str]:
    """Extra hosts as `name:address`."""
    return [f"{host['host']}:{host['ip']}" for host in hosts]


def hosts_from_engine(hosts: list[str] | None) -> list[dict[str, str]]:
    """Extra hosts from `name:address`."""
    split = [host.partition(":") for host in hosts or ()]
    return [{"host": name, "ip": address} for name, _, address in split]


def gpus_to_engine(gpus: str) -> list[dict[str, Any]]:
    """`all`, or `device=` and ids, as a device request."""
    request = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
    if gpus == "all":
        return [request | {"Count": -1}]
    return [request | {"DeviceIDs": gpus.removeprefix("device=").split(",")}]


def requests_to_engine(requests: list[Json]) -> list[dict[str, Any]]:
    """Device requests as the engine names their members."""
    return [
        {
            "Driver": request["driver"],
            "Count": request.get("count", 0),
            "DeviceIDs": request.get("deviceIds", []),
            "Capabilities": [request.get("capabilities", [])],
            "Options": request.get("options", {}),
        }
        for request in requests
    ]
