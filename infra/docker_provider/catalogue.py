"""The resource types and functions that this provider has. A new type is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.docker_provider.container import Container
from infra.docker_provider.engine import Engine
from infra.docker_provider.failures import ProviderError
from infra.docker_provider.network import Network, look_up
from infra.docker_provider.remote_image import RemoteImage
from infra.docker_provider.resource import Resource
from infra.docker_provider.volume import Volume

_RESOURCES: Mapping[str, Resource] = {
    resource.token: resource for resource in (Container(), Network(), RemoteImage(), Volume())
}

_FUNCTIONS: Mapping[str, Callable[[Engine, Mapping[str, Any]], dict[str, Any]]] = {
    "docker:index/getNetwork:getNetwork": lambda engine, arguments: look_up(engine, arguments["name"]),
}

_OFFICIAL = "install the official plugin: pulumi plugin install resource docker 5.2.0"


def resource(urn: str) -> Resource:
    """The type of the resource *urn*, whose third part is its type, after those of its parents.

    Raises:
        ProviderError: this provider does not have the type.
    """
    token = urn.split("::")[2].rpartition("$")[2]
    if token not in _RESOURCES:
        raise ProviderError(
            f"resource type {token} is not supported; this provider has {_names(_RESOURCES)}", _OFFICIAL
        )
    return _RESOURCES[token]


def invoke(engine: Engine, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The result of the function *token*.

    Raises:
        ProviderError: this provider does not have the function, or it failed.
    """
    if token not in _FUNCTIONS:
        raise ProviderError(
            f"function {token} is not supported; this provider has {_names(_FUNCTIONS)}", _OFFICIAL
        )
    return _FUNCTIONS[token](engine, arguments)


def _names(tokens: Mapping[str, object]) -> str:
    return ", ".join(sorted(token.rpartition(":")[2] for token in tokens))
