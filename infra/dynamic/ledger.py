"""`Ledger`: the releases that got live traffic, each with its manifest and its evidence, in the state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra import release_report
from infra.history import remembered


class LedgerProvider(ResourceProvider):
    """Appends an entry whenever another release has got live traffic, and whether it kept it."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Begin with the first release."""
        return CreateResult("ledger", _appended(props, None, []))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Only another live release is news; who and when are told of the one that moved the traffic."""
        return DiffResult(changes=olds["release"] != news["release"])

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Append; a release that comes back is told again, since it was tried again."""
        return UpdateResult(_appended(news, olds["release"], olds["entries"]))


class Ledger(Resource):
    """The history of releases with live traffic, oldest first; the last without a `refusal` is live."""

    entries: pulumi.Output[list[dict[str, Any]]]

    def __init__(
        self,
        *,
        release: str,
        entry: dict[str, pulumi.Input[Any]],
        reports: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"release": release, "entry": entry, "reports": str(reports), "entries": None}
        super().__init__(LedgerProvider(), "ledger", inputs, opts)


def _appended(props: dict[str, Any], live: str | None, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """`release` is the live one: it stays what it was where the new one did not keep the traffic."""
    entry = {**props["entry"], "replaced": live}
    release = live if entry.get("refusal") else props["release"]
    if props.get("reports"):
        _tell(Path(props["reports"]), entry)
    return {**props, "release": release, "entries": remembered([*entries, entry])}


def _tell(reports: Path, entry: dict[str, Any]) -> None:
    """Add to the release's page how it did with live traffic."""
    if entry.get("traffic"):
        (reports / "traffic.json").write_text(json.dumps(entry["traffic"]), encoding="utf-8")
    refusal = entry.get("refusal")
    outcome = {"outcome": "refused", "refusal": refusal} if refusal else {"outcome": "live"}
    release_report.write(reports, outcome)
