"""Why a benchmark has no figures to show."""

from __future__ import annotations


class BenchError(Exception):
    """`message` says what went wrong, with the value; `hint` what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
