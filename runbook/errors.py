"""What an operator is told when the runbook cannot go on."""

from __future__ import annotations


class RunbookError(Exception):
    """`message` says what was wrong, with the value; `hint` what to do about it. Ends in exit code 1."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
