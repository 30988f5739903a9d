"""`Ledger`: the releases that went live, each with its manifest and its gate's evidence, in the state."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

KEPT_ENTRIES = 50


class LedgerProvider(ResourceProvider):
    """Appends an entry whenever another release has gone live."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Begin with the first release."""
        return CreateResult("ledger", {**props, "entries": [props["entry"]]})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Only another live release is news; who and when are told of the one that moved the traffic."""
        return DiffResult(changes=olds["release"] != news["release"])

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Append; a release that comes back is told again, since it was gated again."""
        return UpdateResult({**news, "entries": [*olds["entries"], news["entry"]][-KEPT_ENTRIES:]})


class Ledger(Resource):
    """The history of live releases, oldest first; the last is live."""

    entries: pulumi.Output[list[dict[str, Any]]]

    def __init__(
        self,
        *,
        release: str,
        entry: dict[str, pulumi.Input[Any]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"release": release, "entry": entry, "entries": None}
        super().__init__(LedgerProvider(), "ledger", inputs, opts)
