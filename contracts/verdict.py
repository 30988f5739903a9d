"""What a suite found, in the one shape that the gate, the state and the operator read."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict


class Verdict(StrEnum):
    """The three possible answers. No evidence is not a pass."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    NO_EVIDENCE = "no evidence"

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The verdict of a whole: any failure fails, any gap (or nothing at all) is no evidence."""
        found = set(verdicts)
        if cls.FAIL in found:
            return cls.FAIL
        return cls.PASS if found == {cls.PASS} else cls.NO_EVIDENCE


class Check(BaseModel):
    """One thing that was measured against one limit.

    `value` and `limit` are in `unit`; `samples` is how many observations the value rests on.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    verdict: Verdict
    value: float | str | None
    limit: float | str | None
    unit: str = ""
    samples: int
    detail: str = ""

    def __str__(self) -> str:
        """One line for a person: name, verdict, value, limit and sample size."""
        unit = f" {self.unit}" if self.unit else ""
        value = "nothing" if self.value is None else f"{_short(self.value)}{unit}"
        limit = "" if self.limit is None else f", limit {_short(self.limit)}{unit}"
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.name}: {self.verdict}: {value}{limit}, samples {self.samples}{detail}"


class Report(BaseModel):
    """The checks of one suite's run and what they amount to.

    `left_out` names what the run was not asked to check, or could not check where it ran, each with why.
    """

    model_config = ConfigDict(frozen=True)

    suite: str
    verdict: Verdict
    checks: list[Check]
    duration_s: float
    left_out: list[str] = []

    @classmethod
    def of(cls, suite: str, checks: list[Check], duration_s: float, left_out: Iterable[str] = ()) -> Self:
        """A report whose verdict follows from its checks."""
        return cls(
            suite=suite,
            verdict=Verdict.worst(check.verdict for check in checks),
            checks=checks,
            duration_s=duration_s,
            left_out=list(left_out),
        )

    @property
    def not_passed(self) -> list[Check]:
        """The checks that stop a release."""
        return [check for check in self.checks if check.verdict is not Verdict.PASS]


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
