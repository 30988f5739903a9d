"""What a stack's outputs tell of its releases: which is live, which are kept, which were rolled back and why.

The outputs are in the state, which all who deploy share; a file in one checkout is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

TAKES_OUT = ("rollback", "watch")
"""The verbs whose update takes the release that was live out of traffic for good."""

REMEMBERED = 50
"""So many entries the ledger has, and those of earlier releases that can still be brought back."""

EARLIER = 10
"""So many good releases beside the live one can be brought back: no more can be kept (`keep_releases`)."""

_SOURCES = ("commit", "branch", "dirty", "behind", "ahead")

_BEFORE_ORDERS = {"order": {"verb": "up", "reason": "", "gate": "full"}, "replaced": None}
"""What entries lack that were made before orders were noted."""


@dataclass(frozen=True)
class RolledBack:
    """When, by whom, in favour of which release and why a release was taken out of traffic."""

    at: str
    by: str
    to: str
    reason: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"at {self.at[:16].replace('T', ' ')} by {self.by}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class History:
    """The releases of a stack.

    `entries` are the ledger's, oldest first; `live` is the id of the release with the traffic, None before
    the first; `running` are the ids of those beside it whose containers run, latest first.
    """

    live: str | None
    entries: tuple[dict[str, Any], ...]
    running: tuple[str, ...]

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> Self:
        """From a stack's outputs, which are empty before its first update has ended well."""
        entries = tuple({**_BEFORE_ORDERS, **entry} for entry in outputs.get("releases") or ())
        return cls(outputs.get("release"), entries, tuple(outputs.get("kept") or ()))

    @property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """By id, the manifest of each release that has been live, as it was last; the latest first."""
        found: dict[str, dict[str, Any]] = {}
        for entry in reversed(self.entries):
            if not entry.get("refusal"):
                found.setdefault(entry["manifest"]["id"], entry["manifest"])
        return found

    @property
    def live_manifest(self) -> dict[str, Any]:
        """The live release's manifest; empty where none is live, or nothing is known of it."""
        return self.manifests.get(self.live or "", {})

    def live_secret(self, name: str) -> str | None:
        """The keyed hash of the secret *name* that the live release takes; None where it takes none."""
        digest: str | None = self.live_manifest.get("secrets", {}).get(name)
        return digest

    @property
    def rolled_back(self) -> dict[str, RolledBack]:
        """By id, the releases that were taken out of traffic, and were not live again since."""
        found: dict[str, RolledBack] = {}
        for entry in self.entries:
            if entry.get("refusal"):
                continue
            found.pop(entry["manifest"]["id"], None)
            if entry["order"]["verb"] in TAKES_OUT and entry["replaced"]:
                why = RolledBack(entry["at"], entry["by"], entry["manifest"]["id"], entry["order"]["reason"])
                found[entry["replaced"]] = why
        return found

    @property
    def good(self) -> list[str]:
        """The live release and the last ones before it that were not rolled back, latest first."""
        bad = self.rolled_back
        return [release for release in self.manifests if release not in bad][: EARLIER + 1]

    def sources(self, release: str) -> dict[str, Any]:
        """Which commit *release* was made from (`infra.provenance.sources`); empty if it never was live.

        Whoever brings it back later may be at another one.
        """
        entries = [
            entry for entry in self.entries if entry["manifest"]["id"] == release and not entry.get("refusal")
        ]
        made = [entry for entry in entries if entry["order"]["verb"] not in TAKES_OUT] or entries
        return {name: made[-1][name] for name in _SOURCES if name in made[-1]} if made else {}

    def keepable(self, coming: str, *, takes_out: bool) -> list[dict[str, Any]]:
        """The manifests of those that run and can stay beside the release *coming*, latest first.

        *takes_out*: the release that is live now does not stay.
        """
        bad = set(self.rolled_back) | ({self.live} if takes_out else set()) | {coming}
        wanted = [release for release in (self.live, *self.running) if release and release not in bad]
        manifests = self.manifests
        return [manifests[release] for release in dict.fromkeys(wanted) if release in manifests]


def remembered(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the ledger goes on knowing of *entries*, oldest first.

    However many refusals and rollbacks came since, what is live or can come back is in it.
    """
    latest = {
        entry["manifest"]["id"]: number for number, entry in enumerate(entries) if not entry.get("refusal")
    }
    good = {latest[release] for release in History.of({"releases": entries}).good}
    return [entries[number] for number in sorted(good | {*range(len(entries))[-REMEMBERED:]})]
