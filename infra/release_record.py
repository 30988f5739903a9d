"""What is known of one release's time with, or its attempt at, the live traffic: one typed record.

Written by the trial (a release that was refused) and the ledger (one that had the traffic), kept in the
state, read by everything else. Pulumi's state does not keep what is null: each field but the first has a
default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from contracts.verdict import Report
from infra.live_route import Move
from infra.manifest import BUILD, Manifest
from infra.provenance import Sources
from infra.suites import Depth

TAKES_OUT = ("rollback", "watch")
"""The verbs whose update takes the release that was live out of traffic for good."""


class ReleaseRecord(Sources):
    """One release and what became of it, with the sources that it was made from.

    `verb`, `reason`, `depth` (of the gate) and `by` are of the update that tried it, `at` is ISO 8601 in UTC.
    `gate` has its suites' reports, `traffic` the one on its first live requests, `refusal` the lines against
    it, none if it got the traffic and kept it. `replaced` is the release that had the traffic before, `move`
    the id of the `Move` that gave it the traffic, empty where it never had it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    release: str
    stack: str = ""
    image: str = ""
    verb: str = "up"
    reason: str = ""
    depth: Depth = Depth.FULL
    by: str = ""
    at: str = ""
    manifest: Manifest | None = None
    gate: list[Report] = Field(default_factory=list)
    traffic: Report | None = None
    refusal: list[str] = Field(default_factory=list)
    replaced: str | None = None
    move: str = ""

    @classmethod
    def of_move(cls, move: Move, known: ReleaseRecord | None, manifest: Manifest | None) -> Self:
        """The record of a move that only the proxy knows of; the rest as it is *known* of the release."""
        told = {name: getattr(move, name) for name in ("release", "replaced", "verb", "reason", "by", "at")}
        if move.commit:
            told |= {"commit": move.commit, "branch": move.branch, "dirty": move.commit.endswith("+")}
        earlier = known.model_dump() if known else {"manifest": manifest}
        found = {**earlier, **told, "refusal": [], "traffic": None, "gate": [], "move": move.id}
        return cls.model_validate(found)

    @property
    def folder(self) -> Path:
        """Where the evidence lies, on the machine that tried it; a full gate's stays when it comes back."""
        folder = BUILD / "reports" / self.stack / self.release
        return folder if self.depth is Depth.FULL else folder / self.verb

    @property
    def had_traffic(self) -> bool:
        """Whether all live traffic went to it, and it was not taken back at once."""
        return not self.refusal

    @property
    def takes_out(self) -> str | None:
        """The release that was taken out of traffic for good when this one came."""
        return self.replaced if self.verb in TAKES_OUT and self.had_traffic else None

    def as_data(self) -> dict[str, Any]:
        """As the state keeps it."""
        data: dict[str, Any] = self.model_dump(mode="json")
        return data

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, found: Any) -> Any:
        """Records from before these fields had their names."""
        if not isinstance(found, dict) or "release" in found:
            return found
        order = found.get("order") or {}
        older = {"verb": order.get("verb"), "reason": order.get("reason"), "depth": order.get("gate")}
        known = {name: value for name, value in older.items() if value}
        return {"release": (found.get("manifest") or {}).get("id"), **known, **found}
