"""The values of a stack's secrets: those in force, and those that earlier releases were gated with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from infra.cache_folder import cache_folder
from infra.file_lock import held
from infra.manifest import Secrets
from infra.stack_name import bare_name
from infra.stack_settings import RELEASE_KEY
from runbook.errors import RunbookError
from runbook.workspace import Workspace


def known_secrets(workspace: Workspace) -> Secrets:
    """The values in force, and those that were."""
    kept = workspace.secrets()
    return Secrets(kept["current"], kept["retired"], kept["current"].get(RELEASE_KEY, ""))


def change(workspace: Workspace, changes: Mapping[str, str | None]) -> None:
    """Put the values in force, all at once; None ends one. What was in force is kept for rollbacks.

    One at a time: of two that change different secrets at once, neither undoes the other.

    Raises:
        RunbookError: the key is missing under whose hash an old value would be kept.
    """
    with changing(workspace):
        put_in_force(workspace, changes)


def changing(workspace: Workspace) -> AbstractContextManager[None]:
    """Held by whoever reads what is kept of secrets and writes it back."""
    return held(cache_folder() / "locks" / f"secrets-{bare_name(workspace.stack)}")


def put_in_force(workspace: Workspace, changes: Mapping[str, str | None]) -> None:
    """As `change`, for whoever is `changing` already."""
    kept = workspace.secrets()
    current = kept["current"]
    replaced = [current[name] for name, value in changes.items() if current.get(name, value) != value]
    if replaced:
        # Another key gives every value another hash: then all are kept under the one they had.
        retiring = [*current.values()] if RELEASE_KEY in changes else replaced
        key = current.get(RELEASE_KEY)
        if key is None:
            raise RunbookError(f"secret {RELEASE_KEY} is missing", f"`bin/runbook secrets set {RELEASE_KEY}`")
        kept["retired"] |= {Secrets({}, {}, key).digest(old): old for old in retiring}
    remaining = {name: value for name, value in current.items() if name not in changes}
    given = {name: value for name, value in changes.items() if value is not None}
    workspace.keep_secrets({**kept, "current": remaining | given})
