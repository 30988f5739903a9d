"""A secret replaced without a refused request: for a while, releases take the old value beside the new one.

The stack's configuration says until when (`runbook:rotations`, names and times only). How it ends:
`runbook.rotation_end`. For rollbacks every value is kept.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.errors import RunbookError
from runbook.secret_values import changing, put_in_force
from runbook.workspace import Workspace, configuration_file

MINUTE = "%Y-%m-%d %H:%M UTC"
"""How a time is told."""

_KEY = "rotations"


@dataclass(frozen=True)
class Overlap:
    """How the service takes a second value: under the name `previous`; where `many`, several, one a line."""

    previous: str
    many: bool
    signer: str
    """Who signs with the secret, and so must be given the new one."""


OVERLAPS = {
    "WAHA_WEBHOOK_SECRET": Overlap("WAHA_WEBHOOK_SECRET_PREVIOUS", many=True, signer="WAHA"),
    "INNGEST_SIGNING_KEY": Overlap("INNGEST_SIGNING_KEY_FALLBACK", many=False, signer="Inngest"),
}
"""The secrets of which the service takes two at a time. Of any other, the old one ends with an update."""


def rotated(current: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    """What changes when *value* becomes the secret *name*: itself, and what is taken beside it.

    Raises:
        RunbookError: the service could not take all that are still taken now.
    """
    overlap = OVERLAPS.get(name)
    if overlap is None:
        return {name: value}
    earlier = current.get(overlap.previous, "").splitlines()
    if earlier and not overlap.many:
        raise RunbookError(
            f"{name} is being rotated already, and the service takes only one old value",
            f"end that first: `bin/runbook secrets rotate {name} --finish`",
        )
    taken = dict.fromkeys([current[name], *earlier])  # each once, the latest first
    return {name: value, overlap.previous: "\n".join(old for old in taken if old and old != value)}


def rotate(workspace: Workspace, name: str, value: str, until: datetime.datetime) -> None:
    """Make *value* the secret *name*; where the service can, the old one is taken too *until* then.

    Raises:
        RunbookError: there is no old value, or it is the same, or too many are being taken already.
    """
    with changing(workspace):
        _rotate(workspace, name, value, until)


def _rotate(workspace: Workspace, name: str, value: str, until: datetime.datetime) -> None:
    current = workspace.secrets()["current"]
    if name not in current:
        raise RunbookError(
            f"secret {name} is not set", f"`bin/runbook secrets set {name}` sets the first one"
        )
    if current[name] == value:
        raise RunbookError(f"{name} has that value already: nothing was rotated", "give another one")
    changes = rotated(current, name, value)
    if name in OVERLAPS:
        # First: what is taken beside must not be without an end, should we be killed in between.
        _keep(workspace, rotations(workspace) | {name: until})
    put_in_force(workspace, changes)


def extend(workspace: Workspace, name: str, until: datetime.datetime) -> None:
    """Take the old value of *name* until then."""
    with changing(workspace):
        _keep(workspace, rotations(workspace) | {name: until})


def finish(workspace: Workspace, name: str) -> None:
    """End the overlap of *name*: releases take its present value only."""
    with changing(workspace):
        put_in_force(workspace, {OVERLAPS[name].previous: None})
        _keep(workspace, {other: until for other, until in rotations(workspace).items() if other != name})


def is_overlapping(workspace: Workspace, name: str) -> bool:
    """Whether an old value of *name* is taken beside the present one."""
    return name in OVERLAPS and bool(workspace.secrets()["current"].get(OVERLAPS[name].previous))


def rotations(workspace: Workspace) -> dict[str, datetime.datetime]:
    """Until when the old value of each secret that is being rotated is taken.

    Raises:
        RunbookError: the configuration says something else there than the runbook writes.
    """
    if not workspace.is_set(_KEY):
        return {}
    try:
        kept = json.loads(workspace.get(_KEY) or "{}")
        return {name: _utc(entry["until"]) for name, entry in kept.items()}
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise RunbookError(
            f"the configuration `{_KEY}` of stack {workspace.stack!r} is not what the runbook writes there",
            f"take {configuration_file(workspace.stack).name} from git, or from where it was last right",
        ) from error


def expired(workspace: Workspace, now: datetime.datetime) -> list[str]:
    """The secrets whose old value is to be taken no longer."""
    return sorted(name for name, until in rotations(workspace).items() if until <= now)


def _keep(workspace: Workspace, kept: Mapping[str, datetime.datetime]) -> None:
    if kept:
        entries = {name: {"until": until.isoformat(timespec="seconds")} for name, until in kept.items()}
        workspace.set(_KEY, json.dumps(entries, sort_keys=True))
    elif workspace.is_set(_KEY):
        workspace.unset(_KEY)


def _utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
