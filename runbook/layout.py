"""A stack's layout, as its configuration file has it: known before Pulumi runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from infra.manifest import REPOSITORY
from infra.stack_settings import StackSettings, layout_problems
from runbook.errors import RunbookError
from runbook.workspace import configuration


def layout_of(stack: str, folder: Path = REPOSITORY) -> StackSettings:
    """The layout of *stack*; the defaults for what its file does not say.

    Raises:
        RunbookError: it is wrong; a line for each problem.
    """
    try:
        return StackSettings.model_validate(configuration(stack, folder).get("runbook:layout") or {})
    except ValidationError as error:
        raise RunbookError(
            "the stack's configuration is wrong:\n  " + "\n  ".join(layout_problems(error)),
            f"`bin/pulumi config set --path runbook:layout.KEY VALUE --stack {stack}`",
        ) from error
