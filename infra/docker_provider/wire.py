"""Property maps between protobuf and Python, with the marks that Pulumi puts on secret and unknown values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that is not known before the update, in a preview."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of secrets, not one of them
_SHORTEST_HIDDEN = 3
_SHORTEST_PART_HIDDEN = 4
_PORT_LENGTH = 5


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown. What is inside may be secret in parts again."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([hidden])"


def decode(properties: Struct) -> dict[str, Any]:
    """The property map as Python values; whole numbers become `int`, marked values become `Secret`."""
    return {name: _decode(value) for name, value in properties.fields.items()}


def _decode(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            inner = decode(value.struct_value)
            return Secret(inner.get("value")) if inner.get(_SIGNATURE) == _SECRET else inner
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def encode(properties: Mapping[str, Any]) -> Struct:
    """The property map as protobuf, secrets marked."""
    struct = Struct()
    struct.update(_marked(properties))
    return struct


def _marked(value: Any) -> Any:
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _marked(value.value)}
    if isinstance(value, Mapping):
        return {name: _marked(inner) for name, inner in value.items()}
    return [_marked(item) for item in value] if isinstance(value, list) else value


def reveal(value: Any) -> Any:
    """The value with all marks of secrecy taken off, for work on it."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {name: reveal(inner) for name, inner in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def conceal(properties: dict[str, Any], *sources: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* with every one marked secret that has a secret anywhere inside it in one of *sources*.

    The engine does the same for providers that accept no secrets, so a state looks alike under both: one
    secret element makes its whole list a secret, an object keeps its other members open.
    """
    result = dict(properties)
    for source in sources:
        for name, value in source.items():
            if name in result:
                result[name] = _concealed(result[name], value)
    return result


def _concealed(value: Any, source: Any) -> Any:
    if isinstance(value, dict) and isinstance(source, dict):
        return conceal(value, source)
    return Secret(value) if has_secret(source) and not isinstance(value, Secret) else value


def has_secret(value: Any) -> bool:
    """Whether anything in *value* is marked secret."""
    return isinstance(value, Secret) or any(has_secret(inner) for inner in _members(value))


def _members(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def secret_texts(value: Any) -> Iterator[str]:
    """The texts that must not be shown: secret strings, their lines, and what follows `=` in `NAME=value`."""
    if isinstance(value, Secret):
        for text in _strings(reveal(value.value)):
            yield from _hidden_parts(text)
    for inner in _members(value):
        yield from secret_texts(inner)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in _members(value):
        yield from _strings(inner)


def _hidden_parts(text: str) -> Iterator[str]:
    if len(text) >= _SHORTEST_HIDDEN and text != UNKNOWN:
        yield text
    lines = text.splitlines()
    for part in (text.partition("=")[2], *(lines if len(lines) > 1 else ())):
        # A flag or a port number is no secret, and hiding each "8000" would make errors unreadable.
        if len(part) >= _SHORTEST_PART_HIDDEN and not (part.isdigit() and len(part) <= _PORT_LENGTH):
            yield part


def without_secrets(text: str, secrets: Iterator[str]) -> str:
    """*text* with each of *secrets* blotted out, the longest first."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text
