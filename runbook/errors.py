"""What an operator is told when the runbook cannot go on."""

from __future__ import annotations

from infra.errors import Refused


class RunbookError(Refused):
    """`message` says what was wrong, with the value; `hint` what to do about it. Ends in exit code 1."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
