"""Diff: what changed between two sets of inputs, and does it replace the resource? Never asks the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.docker_provider.check import join
from infra.docker_provider.facts import Spec

Kind = Literal["add", "delete", "update"]


@dataclass(frozen=True)
class Change:
    """One difference; `path` is like `envs[0]` or `build.buildArgs.X`."""

    path: str
    kind: Kind
    replaces: bool

    @property
    def property(self) -> str:
        """The top-level property that the change is in."""
        return self.path.partition(".")[0].partition("[")[0]


def changes(spec: Spec, old: Any, new: Any, path: str = "", replaces: bool = False) -> Iterator[Change]:
    """The differences from *old* to *new*, both of the shape *spec*.

    A zero value (`""`, 0, false, an empty list) and none at all mean the same to the engine, so between them
    there is no difference. A change replaces the resource when the property, or one that it lies in, says so.
    """
    replaces = replaces or spec.replaces
    if isinstance(old, list) and isinstance(new, list):
        yield from (_unordered if spec.unordered else _ordered)(spec, old, new, path, replaces)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _members(spec, old, new, path, replaces)
    elif old != new and not (_is_zero(old) and _is_zero(new)):
        yield Change(path, _kind(old, new), replaces)


def _kind(old: Any, new: Any) -> Kind:
    if old is None:
        return "add"
    return "delete" if new is None else "update"


def _is_zero(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_zero(inner) for name, inner in value.items() if not name.startswith("__"))
    return value in (None, "", False, 0, [])


def _members(
    spec: Spec, old: Mapping[str, Any], new: Mapping[str, Any], path: str, replaces: bool
) -> Iterator[Change]:
    for name in sorted(name for name in {*old, *new} if not name.startswith("__")):
        inner = spec.properties.get(name)
        if inner:
            yield from changes(inner, old.get(name), new.get(name), join(path, name), replaces)
        elif old.get(name) != new.get(name):
            yield Change(join(path, name), _kind(old.get(name), new.get(name)), replaces)


def _ordered(spec: Spec, old: list[Any], new: list[Any], path: str, replaces: bool) -> Iterator[Change]:
    yield from _elements(spec, dict(enumerate(old)), dict(enumerate(new)), path, replaces)


def _unordered(spec: Spec, old: list[Any], new: list[Any], path: str, replaces: bool) -> Iterator[Change]:
    gone, came = dict(enumerate(old)), dict(enumerate(new))
    for index, item in enumerate(old):
        same = next((other for other, value in came.items() if _equal(spec.items, item, value)), None)
        if same is not None:
            del gone[index], came[same]
    yield from _elements(spec, gone, came, path, replaces)


def _equal(spec: Spec | None, old: Any, new: Any) -> bool:
    return old == new or (spec is not None and not any(changes(spec, old, new)))


def _elements(
    spec: Spec, old: Mapping[int, Any], new: Mapping[int, Any], path: str, replaces: bool
) -> Iterator[Change]:
    for index in sorted({*old, *new}):
        element = f"{path}[{index}]"
        if index in old and index in new and spec.items:
            yield from changes(spec.items, old[index], new[index], element, replaces)
        else:
            yield Change(element, "add" if index in new else "delete", replaces)
