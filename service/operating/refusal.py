"""What an operator's command says when it cannot do what was asked."""

from __future__ import annotations


class OperatorRefused(Exception):
    """`message` says what was wrong, with the value; `hint` what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
