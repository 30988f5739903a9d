"""What is special about one update: by which verb and why it was asked for, and how deep its gate goes.

It holds for one run: it is no configuration and comes by the environment. `pulumi up` alone is a plain `up`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from infra.suites import Depth

_VARIABLE = "RUNBOOK_ORDER"


class Order(BaseModel):
    """One update.

    `verb` as typed, `reason` in the operator's words. `bring_back` is the manifest of an earlier release to
    deploy instead of the sources. `in_steps`: whether traffic moves step by step. `force`: also a release
    that was rolled back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: str = "up"
    reason: str = ""
    bring_back: dict[str, Any] | None = None
    depth: Depth = Depth.FULL
    in_steps: bool = True
    force: bool = False

    @classmethod
    def of(cls, env: Mapping[str, str] = os.environ) -> Order:
        """The order of this update."""
        given = env.get(_VARIABLE)
        return cls.model_validate_json(given) if given else cls()

    def as_env(self) -> dict[str, str]:
        """The environment that hands it to the program."""
        return {_VARIABLE: self.model_dump_json()}

    def as_entry(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        return {"verb": self.verb, "reason": self.reason, "gate": str(self.depth)}
