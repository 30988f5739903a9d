"""`Gate`: the update goes no further than here if what stands before it says why not.

What finds out (a `Trial`, the live `Route`) keeps its evidence in the state and does not raise; the gate
behind it does, at each update in which something is said against the release: one that raised when it was
made is not in the state and is met again, one that was passed before is asked again.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.errors import Refused


class GateProvider(ResourceProvider):
    """Lets through what nothing is said against."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Pass; see `_passed`."""
        return CreateResult(f"{props['of']}-{props['release']}", _passed(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Pass again; see `_passed`."""
        return UpdateResult(_passed(news))

    def diff(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """A release that passed once and did not go live is tried again, and may be refused then.

        In a preview the refusal may not be known yet: that is a change, too.
        """
        return DiffResult(changes=bool(news["refusal"]))


class Gate(Resource):
    """One gate of one release, named `OF-RELEASE`; `refusal`: the lines against it, none if it may pass."""

    def __init__(
        self,
        of: str,
        *,
        release: str,
        refusal: pulumi.Input[list[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"of": of, "release": release, "refusal": refusal}
        super().__init__(GateProvider(), f"{of}-{release}", inputs, opts)


def _passed(props: dict[str, Any]) -> dict[str, Any]:
    """The gate's outputs.

    Raises:
        Refused: the lines of the refusal.
    """
    if props["refusal"]:
        raise Refused("\n".join(props["refusal"]))
    return props
