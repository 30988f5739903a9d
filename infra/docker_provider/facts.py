"""What the official provider's schema says about each resource type, read from `facts.json`.

The file is generated: `tests/infra/docker_provider/make_facts.py` says from what and how.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

_FILE = Path(__file__).with_name("facts.json")

Kind = Literal["string", "boolean", "integer", "array", "map", "object"]


@dataclass(frozen=True)
class Spec:
    """One property: its type, what it contains, and what a change of it means.

    `map` is a map of strings, `object` has fixed `properties`; `unordered` lists are compared without regard
    to order; `unset` is what a nested property comes out as when nobody gave it.
    """

    type: Kind
    items: Spec | None = None
    properties: Mapping[str, Spec] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    replaces: bool = False
    unordered: bool = False
    default: Any = None
    unset: Any = None

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Self:
        """The property as `facts.json` declares it."""
        return cls(
            type=declared["type"],
            items=cls.of(declared["items"]) if "items" in declared else None,
            properties={name: cls.of(inner) for name, inner in declared.get("properties", {}).items()},
            required=tuple(declared.get("required", ())),
            replaces=declared.get("replaces", False),
            unordered=declared.get("unordered", False),
            default=declared.get("default"),
            unset=declared.get("unset"),
        )


@dataclass(frozen=True)
class Facts:
    """A resource type: its inputs as one object, its outputs, and their values when nobody gave them.

    `unset` holds after a create; after a refresh, `refreshed` goes before it.
    """

    inputs: Spec
    outputs: tuple[str, ...]
    unset: Mapping[str, Any]
    refreshed: Mapping[str, Any]
    autonamed: bool


@functools.cache
def _declared() -> dict[str, Any]:
    return dict(json.loads(_FILE.read_text(encoding="utf-8"))["resources"])


@functools.cache
def facts_of(token: str) -> Facts:
    """The facts of the resource type *token*, like `docker:index/network:Network`."""
    declared = _declared()[token]
    return Facts(
        inputs=Spec.of(declared),
        outputs=tuple(declared["outputs"]),
        unset=declared["unset"],
        refreshed=declared["refreshed"],
        autonamed=declared["autonamed"],
    )
