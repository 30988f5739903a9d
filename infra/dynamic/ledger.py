"""`Ledger`: the releases that got live traffic, each with its manifest and its evidence, in the state.

It follows the proxy: a move that it does not know of, from an update that was interrupted or a rollback, is
taken in with the next update.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra import release_report
from infra.history import read_records, remembered, with_moves
from infra.live_route import LiveRoute
from infra.observed import observe_stack
from infra.proxy_control import ProxyControl
from infra.release_record import ReleaseRecord


class LedgerProvider(ResourceProvider):
    """Appends a record whenever another release has got live traffic, and whether it kept it."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Begin with the first release."""
        return CreateResult("ledger", _record(props, []))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Only another live release, or a move that is not recorded, is news."""
        changes = olds["release"] != news["release"]
        if isinstance(news.get("proxy"), str):  # of a proxy that is yet to be made nothing is known
            changes |= is_behind(read_records(olds["entries"]), ProxyControl(news["proxy"]).live_route())
        return DiffResult(changes=changes)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Append; a release that comes back is recorded again, since it was tried again."""
        return UpdateResult(_record(news, olds["entries"]))


class Ledger(Resource):
    """The history of releases with live traffic, oldest first, and the id of the one that has it."""

    entries: pulumi.Output[list[dict[str, Any]]]
    release: pulumi.Output[str]

    def __init__(
        self,
        *,
        release: str,
        record: dict[str, pulumi.Input[Any]],
        proxy: pulumi.Input[str],
        reports: Path,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """*record*: the `ReleaseRecord` of the release that this update is about."""
        inputs = {
            "release": release,
            "record": record,
            "proxy": proxy,
            "reports": str(reports),
            "entries": None,
        }
        super().__init__(LedgerProvider(), "ledger", inputs, opts)


def outcome(
    record: ReleaseRecord, live: LiveRoute | None, records: Sequence[ReleaseRecord]
) -> ReleaseRecord | None:
    """What an update made of its release; None where it was live before.

    Then the move is among the *records*, or another verb's whose state has not followed: an `up` that took a
    rollback's move for its own would forget what was rolled back.
    """
    move = live.moves[-1] if live and live.moves else None
    if record.refusal:
        return record.model_copy(update={"replaced": live.release if live else None})
    if move is None:  # a route that an older version wrote
        return record
    is_ours = (move.release, move.verb) == (record.release, record.verb)
    if not is_ours or move.id in {each.move for each in records}:
        return None
    return record.model_copy(update={"replaced": move.replaced, "move": move.id})


def is_behind(records: Sequence[ReleaseRecord], live: LiveRoute | None) -> bool:
    """Whether the proxy's last move, of those that can be read, is not among the *records*."""
    known = {record.move for record in records}
    moves = [move.id for move in live.moves if move.release] if live else []
    return bool(moves) and moves[-1] not in known


def _record(props: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The resource's outputs: `release` is the one that the proxy serves, whatever was asked for."""
    records, record = read_records(entries), ReleaseRecord.model_validate(props["record"])
    observed = observe_stack(record.stack)
    live = observed.live
    found = outcome(record, live, records)
    # All moves but its own came before it.
    earlier = [move for move in (live.moves if live else ()) if found is None or move.id != found.move]
    records = with_moves(records, earlier, observed.manifests)
    if found:
        release_report.write_traffic(Path(props["reports"]), found)
        records = (*records, found)
    release = live.release if live else props["release"]
    return {**props, "release": release, "entries": [each.as_data() for each in remembered(records)]}
