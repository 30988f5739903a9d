"""Check: are the program's inputs of the right shape, and which values do they get by default?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.docker_provider.facts import Facts, Spec
from infra.docker_provider.wire import UNKNOWN

DEFAULTS = "__defaults"
"""The member of every checked object that lists which of its properties were filled in, as Pulumi has it."""

_SHOWN = 80
_INDEX = re.compile(r"\[\d+\]")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,),
    "array": (list,), "map": (dict,), "object": (dict,),
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why one input is refused; `path` is like `ports[0].internal`, empty for the resource as a whole."""

    path: str
    reason: str


Rule = Callable[[Any], str | None]
"""Says what is wrong with a given, known value, or None."""


def with_defaults(
    facts: Facts, news: Mapping[str, Any], olds: Mapping[str, Any], name: str | None
) -> dict[str, Any]:
    """The inputs as the engine keeps them: defaults filled in at every level and listed in `__defaults`.

    *name* is used where the type is named automatically and the program gave none; a name made up earlier is
    kept.
    """
    filled: dict[str, Any] = _filled(facts.inputs, news)
    if facts.autonamed and "name" not in filled:
        kept = olds.get("name") if "name" in olds.get(DEFAULTS, ()) else None
        if made_up := kept or name:
            filled["name"] = made_up
            filled[DEFAULTS] = sorted([*filled[DEFAULTS], "name"])
    return filled


def _filled(spec: Spec, value: Any) -> Any:
    if spec.type == "array" and spec.items and isinstance(value, list):
        return [_filled(spec.items, item) for item in value]
    if spec.type != "object" or not isinstance(value, Mapping):
        return value
    given = {name: inner for name, inner in value.items() if inner is not None and name != DEFAULTS}
    known = {
        name: _filled(spec.properties[name], inner)
        for name, inner in given.items()
        if name in spec.properties
    }
    defaults = {
        name: inner.default
        for name, inner in spec.properties.items()
        if inner.default is not None and name not in given
    }
    return given | known | defaults | {DEFAULTS: sorted(defaults)}


def failures(facts: Facts, inputs: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[Failure]:
    """Everything that is wrong with the inputs; *rules* go by path, like `ports[].protocol`."""
    yield from _failures(facts.inputs, inputs, "", rules)


def _failures(spec: Spec, value: Any, path: str, rules: Mapping[str, Rule]) -> Iterator[Failure]:
    if value == UNKNOWN or value is None:
        return
    if not _has_type(spec, value):
        yield Failure(path, f"should be {_article(spec.type)}, got {shown(value)}")
        return
    if (rule := rules.get(_rule_path(path))) and (wrong := rule(value)):
        yield Failure(path, wrong)
    if spec.type == "object":
        yield from _object_failures(spec, value, path, rules)
    elif spec.items:
        for index, item in enumerate(value):
            yield from _failures(spec.items, item, f"{path}[{index}]", rules)
    elif spec.type == "map":
        yield from _map_failures(value, path)


def _object_failures(
    spec: Spec, value: Mapping[str, Any], path: str, rules: Mapping[str, Rule]
) -> Iterator[Failure]:
    for name in spec.required:
        if value.get(name) is None:
            yield Failure(join(path, name), "is required and missing")
    for name, inner in value.items():
        if name in spec.properties:
            yield from _failures(spec.properties[name], inner, join(path, name), rules)
        elif not name.startswith("__"):
            close = difflib.get_close_matches(name, spec.properties, 1)
            yield Failure(
                join(path, name), "is not a property here" + (f"; is {close[0]} meant?" if close else "")
            )


def _map_failures(value: Mapping[str, Any], path: str) -> Iterator[Failure]:
    for name, inner in value.items():
        if not isinstance(inner, str):
            yield Failure(join(path, name), f"should be a string, got {shown(inner)}")


def _has_type(spec: Spec, value: Any) -> bool:
    # In Python a bool is an int; in a property map it is not.
    return isinstance(value, _PYTHON_TYPES[spec.type]) and not (
        spec.type == "integer" and isinstance(value, bool)
    )


def _article(kind: str) -> str:
    names = {"array": "a list", "map": "a map of strings", "integer": "a whole number", "object": "an object"}
    return names.get(kind, f"a {kind}")


def _rule_path(path: str) -> str:
    return _INDEX.sub("[]", path)


def join(path: str, name: str) -> str:
    """*path* extended by the member *name*, as Pulumi writes it: `a.b`, or `a["b.c"]`."""
    if not name.replace("-", "_").isidentifier():
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def shown(value: Any) -> str:
    """The value for an error message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
