"""The releases of a stack: which is live, which are kept, which were rolled back and why.

Which one is live the proxy says; the records are in the state, which all who deploy share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from infra.live_route import Move
from infra.manifest import Manifest
from infra.observed import Observed
from infra.provenance import Sources
from infra.release_record import TAKES_OUT, ReleaseRecord

MAX_RECORDS = 50
"""So many records the ledger has, and those of earlier releases that can still be brought back."""

MAX_GOOD = 10
"""So many good releases beside the live one can be brought back: no more can be kept (`keep_releases`)."""


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

    `records` are oldest first; `live` is the id of the release with the traffic, None before the first;
    `running` are the ids of those beside it that have containers, latest first. `live_in_state` is what the
    state says.
    """

    live: str | None
    records: tuple[ReleaseRecord, ...]
    running: tuple[str, ...] = ()
    live_in_state: str | None = None

    @classmethod
    def of(cls, outputs: Mapping[str, Any], observed: Observed) -> Self:
        """From a stack's outputs, which may be behind, and from what the engine has of it."""
        live = observed.live.release if observed.live else None
        moves = observed.live.moves if observed.live else ()
        records = with_moves(read_records(outputs.get("releases")), moves, observed.manifests)
        in_state = outputs.get("release")
        running = {*observed.manifests, *(outputs.get("kept") or ()), in_state} - {live, None}
        return cls(live, records, _latest_first(running, records), in_state)

    @classmethod
    def in_state(cls, outputs: Mapping[str, Any]) -> Self:
        """As the state has it, where the engine cannot be asked."""
        live, kept = outputs.get("release"), tuple(outputs.get("kept") or ())
        return cls(live, read_records(outputs.get("releases")), kept, live)

    @property
    def disagreement(self) -> str | None:
        """How state and proxy differ; None if they agree."""
        if self.live == self.live_in_state:
            return None
        in_state = f"{self.live_in_state} is live" if self.live_in_state else "none is live"
        return f"the proxy serves {self.live or 'no release'}, the state says that {in_state}"

    @property
    def releases(self) -> list[str]:
        """The ids of all that have been live, the latest first."""
        return list(dict.fromkeys(record.release for record in reversed(self.records) if record.had_traffic))

    @property
    def manifests(self) -> dict[str, Manifest]:
        """By id, the manifest of each release that has been live, as it was last; the latest first."""
        found: dict[str, Manifest] = {}
        for record in reversed(self.records):
            if record.had_traffic and record.manifest:
                found.setdefault(record.release, record.manifest)
        return found

    @property
    def live_manifest(self) -> Manifest | None:
        """The live release's manifest; None where none is live, or nothing is known of it."""
        return self.manifests.get(self.live or "")

    def live_secret(self, name: str) -> str | None:
        """The keyed hash of the secret *name* that the live release takes; None where it takes none."""
        manifest = self.live_manifest
        return manifest.secrets.get(name) if manifest else None

    @property
    def rolled_back(self) -> dict[str, RolledBack]:
        """By id, the releases that were taken out of traffic, and were not live again since."""
        found: dict[str, RolledBack] = {}
        for record in self.records:
            if not record.had_traffic:
                continue
            found.pop(record.release, None)
            if record.takes_out:
                found[record.takes_out] = RolledBack(record.at, record.by, record.release, record.reason)
        return found

    @property
    def good(self) -> list[str]:
        """The live release and the last ones before it that were not rolled back, latest first."""
        bad = self.rolled_back
        return [release for release in self.releases if release not in bad][: MAX_GOOD + 1]

    def lost_traffic(self, release: str) -> int:
        """How often *release* got the traffic and lost it at once: then it is tried again."""
        return sum(record.release == release and not record.had_traffic for record in self.records)

    def sources(self, release: str) -> Sources:
        """What *release* was made from; whoever brings it back later may be at another commit."""
        records = [record for record in self.records if record.release == release and record.had_traffic]
        made = [record for record in records if record.verb not in TAKES_OUT] or records
        return Sources.model_validate(made[-1].model_dump()) if made else Sources()

    def keepable(self, coming: str, *, takes_out: bool) -> list[Manifest]:
        """The manifests of those that run and can stay beside the release *coming*, latest first.

        *takes_out*: the release that is live now does not stay.
        """
        bad = set(self.rolled_back) | ({self.live} if takes_out else set()) | {coming}
        wanted = [release for release in (self.live, *self.running) if release and release not in bad]
        manifests = self.manifests
        return [manifests[release] for release in dict.fromkeys(wanted) if release in manifests]


def read_records(kept: Iterable[Mapping[str, Any]] | None) -> tuple[ReleaseRecord, ...]:
    """The records as the state keeps them, oldest first."""
    return tuple(ReleaseRecord.model_validate(record) for record in kept or ())


def with_moves(
    records: Sequence[ReleaseRecord], moves: Sequence[Move], manifests: Mapping[str, Manifest]
) -> tuple[ReleaseRecord, ...]:
    """*records*, and one for each of the *moves* that none of them is about, oldest first.

    The proxy's route notes a move when it is made. An update that was interrupted, or a rollback whose state
    has not followed, leaves no record. The moves are in the route's order, whatever their times say: each is
    by another machine's clock. Records of which the route does not tell stay where they are.
    """
    known = {record.move: record for record in records}
    latest = {record.release: record for record in records if record.had_traffic}
    waiting: list[ReleaseRecord] = []
    for move in moves:
        made = known.get(move.id)
        if made is None and not move.release:  # its line is damaged
            continue
        if made is None:
            made = ReleaseRecord.of_move(move, latest.get(move.release), manifests.get(move.release))
        latest[move.release] = made
        waiting.append(made)
    ids = {move.id for move in moves}
    found: list[ReleaseRecord] = []
    for record in records:
        if record.move not in ids:
            found.append(record)
        while any(each.move == record.move for each in waiting):  # with it those that came before
            found.append(waiting.pop(0))
    return (*found, *waiting)


def remembered(records: Sequence[ReleaseRecord]) -> tuple[ReleaseRecord, ...]:
    """What the ledger goes on knowing of *records*, oldest first.

    However many refusals and rollbacks came since, what is live or can come back is in it.
    """
    latest = {record.release: number for number, record in enumerate(records) if record.had_traffic}
    good = {latest[release] for release in History(None, tuple(records)).good}
    return tuple(records[number] for number in sorted(good | {*range(len(records))[-MAX_RECORDS:]}))


def _latest_first(releases: Iterable[str], records: Sequence[ReleaseRecord]) -> tuple[str, ...]:
    when = {record.release: number for number, record in enumerate(records) if record.had_traffic}
    return tuple(sorted(releases, key=lambda release: (-when.get(release, -1), release)))
