"""From what a test measured and how it ended to one `Check`. Nothing measured is never a pass."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.verdict import Check, Verdict


class Measured:
    """Records what one test measured; what is not within its limit ends the test.

    A test may call it several times, for one condition after the other: the last record is the check's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.check: Check | None = None

    def __call__(
        self,
        value: float | str | None,
        limit: float | str,
        *,
        ok: bool,
        samples: int,
        unit: str = "",
        detail: str = "",
        note: str = "",
    ) -> None:
        """Record *value* (in *unit*, resting on *samples* observations) against *limit*.

        *detail* is the reason of a failure; *note* says what to know of a pass.

        Raises:
            AssertionError: it is not *ok*, or rests on no observation.
        """
        verdict = Verdict.NO_EVIDENCE if samples == 0 else Verdict.PASS if ok else Verdict.FAIL
        self.check = Check(
            name=self.name,
            verdict=verdict,
            value=value,
            limit=limit,
            unit=unit,
            samples=samples,
            detail=note if verdict is Verdict.PASS else detail,
        )
        assert verdict is Verdict.PASS, str(self.check)


def conclude(measured: Measured, problem: str | None) -> Check:
    """The check of a test that ended, with *problem* if it raised anything (a failed record too)."""
    check = measured.check
    if check is None:
        reason = problem or "the test recorded nothing"
        return Check(
            name=measured.name, verdict=Verdict.FAIL, value=None, limit=None, samples=0, detail=reason
        )
    if problem is not None and check.verdict is Verdict.PASS:
        return check.model_copy(update={"verdict": Verdict.FAIL, "detail": problem})
    return check


def shortened(names: Sequence[str], shown: int = 3) -> str:
    """The first names, and how many more there are: a line for a person stays one line."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def not_run(names: list[str], reason: str) -> Check:
    """One check standing for those that were not run."""
    return Check(
        name="not run",
        verdict=Verdict.NO_EVIDENCE,
        value=len(names),
        limit=0,
        unit="checks",
        samples=0,
        detail=f"{reason}: {shortened(names)}",
    )
