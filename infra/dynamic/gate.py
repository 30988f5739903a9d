"""`Gate`: the update goes no further than here if what stands before it says why not.

What finds out (a `Trial`, the live `Route`) keeps its evidence in the state and does not raise; the gate
behind it does. So a gate that raised is not in the state and is met again by the next update, while the
evidence against the release stays.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from infra.errors import Refused


class GateProvider(ResourceProvider):
    """Lets through what nothing is said against."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Pass.

        Raises:
            Refused: the lines of the refusal.
        """
        if props["refusal"]:
            raise Refused("\n".join(props["refusal"]))
        return CreateResult(f"{props['of']}-{props['release']}", props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Never: what a release consists of is in its id, and each id has gates of its own."""
        return DiffResult(changes=False)


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
