"""What must hold for every container and volume of a stack: seen to before it is made, in a preview too.

Containers that are never started only carry files into a volume: the rule about secrets alone binds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi import ResourceTransformationArgs, ResourceTransformationResult

from infra.base_images import is_fixed
from infra.dynamic.stack_id import STATE_LABEL
from infra.stack_settings import SEEN_VOLUMES
from service.settings import SECRET_NAMES

Inputs = Mapping[str, Any]

_CONTAINER, _VOLUME = "docker:index/container:Container", "docker:index/volume:Volume"
_KNOWN_LATER = frozenset({"image", "networks_advanced", "uploads", "volumes"})
"""Inputs that come from other resources, or that `docker inspect` does not show."""

_SHORTEST_SECRET = 8
_PUBLISHES = {"label": "runbook.role", "value": "proxy"}
"""The label of the only container that may be reached from outside the stack's network."""

_COLLECTS = {"label": "runbook.role", "value": "logs"}
"""That of the only one that may be reached from the engine's machine: the engine sends it the lines."""


@dataclass
class Policy:
    """The rules for a stack with these `secrets` (values)."""

    secrets: Iterable[str]
    _protected: set[str] = field(default_factory=set)

    def enforce(self) -> None:
        """Refuse what breaks a rule, of all that the program declares from now on.

        Raises (while a resource is declared):
            pulumi.RunError: a line for each rule that it breaks.
        """
        pulumi.runtime.register_stack_transformation(self._check)

    def _check(self, resource: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        inputs, opts = resource.props, resource.opts
        if resource.type_ == _VOLUME and opts.retain_on_delete:
            name = str(inputs["name"])
            if opts.protect or name.endswith(SEEN_VOLUMES):
                self._protected.add(name)
        if resource.type_ != _CONTAINER:
            return None
        is_started = inputs.get("start") is not False
        _refuse(resource.name, self._readable_secrets(inputs))
        if not is_started:
            return None
        for rule in _RULES:
            _refuse(resource.name, rule(inputs))
        return ResourceTransformationResult({**inputs, **self._checked_later(resource.name, inputs)}, opts)

    def _checked_later(self, name: str, inputs: Inputs) -> dict[str, Any]:
        """The inputs that come from other resources, checked as soon as they are known."""

        def fixed(image: str) -> str:
            _refuse(name, _says_what_is_in_it(image))
            return image

        def protected(volume: str) -> str:
            # What a container may write is data; what it only reads can be made again.
            _refuse(name, [] if volume in self._protected else [f"writes volume {volume}: protect that"])
            return volume

        volumes = [
            mount
            if mount.get("read_only")
            else {**mount, "volume_name": _then(mount["volume_name"], protected)}
            for mount in inputs.get("volumes") or ()
        ]
        return {"image": _then(inputs["image"], fixed), "volumes": volumes}

    def _readable_secrets(self, inputs: Inputs) -> Iterator[str]:
        """What `docker inspect` shows is no place for a secret."""
        shown = {key: value for key, value in inputs.items() if key not in _KNOWN_LATER and value is not None}
        shown["labels"] = [each for each in shown.get("labels") or () if each["label"] != STATE_LABEL]
        for key, value in shown.items():
            try:
                text = json.dumps(value)
            except TypeError:
                yield f"{key} is no plain value: it could be a secret"
                continue
            for secret in self.secrets:
                if len(secret) >= _SHORTEST_SECRET and json.dumps(secret)[1:-1] in text:
                    yield f"{key} holds a secret of the stack in clear: give it as a file"
        for variable in (str(each).partition("=")[0] for each in shown.get("envs") or ()):
            if variable in SECRET_NAMES:
                yield f"envs has {variable}, a secret: give {variable}_FILE, the name of its file"


def _only_the_proxy_publishes(inputs: Inputs) -> Iterator[str]:
    labels, ports = inputs.get("labels") or (), inputs.get("ports") or ()
    if _COLLECTS in labels:
        ports = [port for port in ports if port.get("ip") != "127.0.0.1"]
    if ports and _PUBLISHES not in labels:
        yield "publishes ports: all but the proxy are reached in the stack's network alone"


def _is_not_root(inputs: Inputs) -> Iterator[str]:
    user = str(inputs.get("user") or "root")
    if user.partition(":")[0] in ("root", "0"):
        yield f"runs as {user}: give a user"


def _has_no_privileges(inputs: Inputs) -> Iterator[str]:
    capabilities = inputs.get("capabilities") or {}
    if inputs.get("privileged") or capabilities.get("adds") or capabilities.get("drops") != ["ALL"]:
        yield "has capabilities: drop ALL of them"
    if "no-new-privileges:true" not in (inputs.get("security_opts") or ()):
        yield "may gain privileges: set no-new-privileges"


def _cannot_write_its_root(inputs: Inputs) -> Iterator[str]:
    if not inputs.get("read_only"):
        yield "can write its root file system: set read_only"


def _uses_nothing_of_the_host(inputs: Inputs) -> Iterator[str]:
    for mode in ("network_mode", "pid_mode", "ipc_mode", "userns_mode"):
        if inputs.get(mode) == "host":
            yield f"has {mode} host: it would be in the machine's own"
    for what in ("devices", "mounts"):
        if inputs.get(what):
            yield f"has {what}: only volumes of the stack are mounted"
    for mount in inputs.get("volumes") or ():
        if mount.get("volume_name") is None:
            yield f"mounts {mount.get('container_path')} from elsewhere: name a volume of the stack"


_RULES: tuple[Callable[[Inputs], Iterator[str]], ...] = (
    _only_the_proxy_publishes,
    _is_not_root,
    _has_no_privileges,
    _cannot_write_its_root,
    _uses_nothing_of_the_host,
)


def _says_what_is_in_it(image: str) -> Iterator[str]:
    if not is_fixed(image):
        yield f"has the image {image}, which may be another tomorrow: name it by digest or by its recipe"


def _then(value: Any, check: Callable[[str], str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value).apply(check)


def _refuse(name: str, problems: Iterable[str]) -> None:
    if lines := [f"policy: {name} {problem}" for problem in problems]:
        raise pulumi.RunError("\n".join(lines))
