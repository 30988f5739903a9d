"""What is special about one update: by which verb and why it was asked for, and how deep its gate goes.

It holds for one run: it is no configuration and comes by the environment. `pulumi up` alone is a plain `up`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from contracts.verdict import Report
from infra.errors import Refused, encodable
from infra.manifest import Manifest
from infra.suites import Depth

_VARIABLE = "RUNBOOK_DEPLOY_REQUEST"


class DeployRequest(BaseModel):
    """One update.

    `verb` as typed, `reason` in the operator's words. `bring_back` is the manifest of an earlier release to
    deploy instead of the sources. `in_steps`: whether traffic moves step by step. `force`: also a release
    that was rolled back. `gate`: what was found of it before, where it has the traffic already.
    `replace_infrastructure`: also where that ends proxy or Redis for some seconds. `is_rehearsal`: a preview
    that refuses what the update would.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: str = "up"
    reason: Annotated[str, AfterValidator(encodable)] = ""
    bring_back: Manifest | None = None
    depth: Depth = Depth.FULL
    in_steps: bool = True
    force: bool = False
    gate: list[Report] = Field(default_factory=list)
    replace_infrastructure: bool = False
    is_rehearsal: bool = False

    @classmethod
    def of(cls, env: Mapping[str, str] = os.environ) -> DeployRequest:
        """The request that this update is given.

        Raises:
            Refused: whoever typed it made a mistake.
        """
        given = env.get(_VARIABLE)
        try:
            return cls.model_validate_json(given) if given else cls()
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise Refused(f"{_VARIABLE}: {where}: {first['msg']}: {str(given)[:200]!r}") from None

    def as_env(self) -> dict[str, str]:
        """The environment that hands it to the program."""
        return {_VARIABLE: self.model_dump_json()}
