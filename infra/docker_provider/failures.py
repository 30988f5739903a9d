"""What can go wrong in the provider, in the words that the operator reads.

ProviderError             what was wrong, and what to do about it
├── NotThere              the engine has no such thing (any more)
├── InUse                 the engine refuses because something else holds the thing
└── InitFailed            the thing was created but did not come up: it stays in the state
"""

from __future__ import annotations

from typing import Any

from infra.errors import Refused


class ProviderError(Refused):
    """A request that cannot be done; the text is one that an operator can act on."""


class NotThere(ProviderError):
    """The engine does not know the thing asked for."""


class InUse(ProviderError):
    """The engine refuses: the thing, or its name, is used by something else."""


class InitFailed(ProviderError):
    """A resource was made and is on the engine, but is not in the state that was asked for."""

    def __init__(self, message: str, resource_id: str, outputs: dict[str, Any]) -> None:
        super().__init__(message)
        self.resource_id, self.outputs = resource_id, outputs
