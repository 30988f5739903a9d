"""The outputs of a resource, in the shape that the official provider gives them.

Every output of the type is there: as given where the program gave it, else as the engine says, else at the
value that the official provider was recorded to have for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.docker_provider.facts import Facts, Spec
from infra.docker_provider.wire import UNKNOWN

_NOTHING: Mapping[str, Any] = {"string": "", "boolean": False, "integer": 0}


def assemble(
    facts: Facts, inputs: Mapping[str, Any], seen: Mapping[str, Any], *, refreshed: bool = False
) -> dict[str, Any]:
    """All outputs from the *inputs* and what was *seen* on the engine.

    What was seen wins over what was given where both are there: the caller leaves out what the engine only
    rephrases.
    After a refresh the official provider writes empty lists and maps where it wrote null after the create.
    """
    unset = {**facts.unset, **facts.refreshed} if refreshed else facts.unset
    values = {**unset, **{name: value for name, value in inputs.items() if value is not None}, **seen}
    result = {"__meta": facts.unset["__meta"], "id": seen["id"]}
    for name in facts.outputs:
        spec = facts.inputs.properties.get(name)
        value = values.get(name)
        result[name] = _filled(spec, value, refreshed) if spec else value
    return result


def _filled(spec: Spec, value: Any, refreshed: bool) -> Any:
    """The value with every nested property there is, given or not."""
    if spec.items and isinstance(value, list):
        return [_filled(spec.items, item, refreshed) for item in value]
    if spec.type != "object" or not isinstance(value, Mapping):
        return value
    return {
        name: _nested_unset(inner, refreshed)
        if value.get(name) is None
        else _filled(inner, value[name], refreshed)
        for name, inner in spec.properties.items()
    }


def _nested_unset(spec: Spec, refreshed: bool) -> Any:
    if spec.unset is not None:
        return spec.unset
    if spec.type in ("string", "array"):
        return "" if spec.type == "string" else []
    if not refreshed or spec.type == "object":
        return None
    return {} if spec.type == "map" else _NOTHING[spec.type]


def foreseen(facts: Facts, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs as a preview can know them: what only the engine decides is unknown."""
    given = {name for name, value in inputs.items() if value is not None}
    decided_later = {name: UNKNOWN for name in facts.outputs if name not in given and name not in facts.unset}
    return assemble(facts, inputs, {"id": UNKNOWN, **decided_later})
