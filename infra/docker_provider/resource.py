"""What a resource type is to the provider. One more type is one more subclass, listed in `catalogue.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from infra.docker_provider import outputs
from infra.docker_provider.check import DEFAULTS, Failure, Rule, failures, with_defaults
from infra.docker_provider.diff import Change, changes
from infra.docker_provider.engine import Engine
from infra.docker_provider.facts import Facts, facts_of

Properties = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A resource on the engine: its id and its outputs."""

    id: str
    outputs: Properties


@dataclass(frozen=True)
class Found:
    """A resource read from the engine: what it is, and the inputs that would make it."""

    id: str
    outputs: Properties
    inputs: Properties


class Resource(ABC):
    """One resource type. Everything but the five verbs is decided from the facts, without the engine."""

    token: ClassVar[str]
    rules: ClassVar[Mapping[str, Rule]] = {}
    unsupported: ClassVar[Mapping[str, str]] = {}
    """Properties of the official provider that this one does not do, by path, and why."""
    replaced_for: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change replaces although the schema does not say so."""
    deletes_first: ClassVar[bool] = False
    """Whether a replacement always deletes the old one before it makes the new one."""

    @property
    def facts(self) -> Facts:
        """What the schema says about the type."""
        return facts_of(self.token)

    @property
    def kind(self) -> str:
        """The type's short name, like `Container`."""
        return self.token.rpartition(":")[2]

    def check(self, news: Properties, olds: Properties, name: str | None) -> tuple[Properties, list[Failure]]:
        """The inputs with their defaults, and what is wrong with them."""
        inputs = with_defaults(self.facts, news, olds, name)
        return inputs, [*failures(self.facts, inputs, self._rules()), *self.conflicts(inputs)]

    def _rules(self) -> Mapping[str, Rule]:
        refusals = {path: _refusal(self.kind, why) for path, why in self.unsupported.items()}
        return {**self.rules, **refusals}

    def conflicts(self, inputs: Properties) -> Iterator[Failure]:
        """What is wrong with the inputs taken together; nothing, unless a type says so."""
        yield from ()

    def diff(self, old: Properties, new: Properties) -> list[Change]:
        """The changes from the old inputs to the new ones."""
        return [
            Change(change.path, change.kind, change.replaces or change.property in self.replaced_for)
            for change in changes(self.facts.inputs, old, new)
        ]

    def stable(self, replaced: set[str]) -> list[str]:
        """The properties that an update in place never changes, less those that are *replaced*."""
        inputs = self.facts.inputs.properties
        return sorted(name for name, spec in inputs.items() if spec.replaces and name not in replaced)

    def must_delete_first(self, old: Properties, new: Properties) -> bool:
        """Whether old and new cannot be there at the same time: they would have the same name."""
        same_name = old.get("name") == new.get("name") and "name" not in new.get(DEFAULTS, ())
        return self.deletes_first or (self.facts.autonamed and same_name)

    def foresee(self, inputs: Properties) -> Properties:
        """The outputs as a preview of the create can know them."""
        return outputs.foreseen(self.facts, inputs)

    def foresee_update(self, old_outputs: Properties, inputs: Properties) -> Properties:
        """The outputs as a preview of the update can know them."""
        kept = {name: value for name, value in old_outputs.items() if inputs.get(name) is None}
        return outputs.assemble(self.facts, inputs, kept)

    @abstractmethod
    def create(self, engine: Engine, inputs: Properties) -> Made:
        """Make the resource.

        Raises:
            ProviderError: nothing was made, or what was made has been removed again.
            InitFailed: it was made and stays, but is not in the state that was asked for.
        """

    @abstractmethod
    def read(self, engine: Engine, resource_id: str, inputs: Properties | None) -> Found | None:
        """The resource as the engine has it now, or None when it is gone; *inputs* are None for an import."""

    @abstractmethod
    def update(self, engine: Engine, resource_id: str, old: Properties, new: Properties) -> Properties:
        """Change the resource in place from the *old* inputs to the *new* ones; its outputs afterwards."""

    @abstractmethod
    def delete(self, engine: Engine, resource_id: str, properties: Properties) -> None:
        """Remove the resource; *properties* are its outputs. One that is gone already is fine."""


def _refusal(kind: str, why: str) -> Rule:
    text = f"is not supported for {kind} by this provider ({why}); leave it out or use the official plugin"
    return lambda _value: text
