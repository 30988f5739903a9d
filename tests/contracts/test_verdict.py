"""Three verdicts; no evidence is not a pass."""

from __future__ import annotations

import pytest

from contracts.verdict import Check, Report, Verdict

PASS, FAIL, NONE = Verdict.PASS, Verdict.FAIL, Verdict.NO_EVIDENCE


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([PASS, PASS], PASS),
        ([PASS, FAIL, NONE], FAIL),
        ([PASS, NONE], NONE),
        ([], NONE),
    ],
)
def test_the_whole_is_the_worst_of_its_parts(verdicts: list[Verdict], whole: Verdict) -> None:
    """A report of nothing is no evidence."""
    checks = [
        Check(name="c", verdict=verdict, value=1, limit=2, unit="ms", samples=3) for verdict in verdicts
    ]
    assert Report.of("load", checks, 1.0).verdict is whole


def test_a_check_reads_as_one_line() -> None:
    """Name, verdict, value, limit, sample size: what an operator needs at 3 a.m."""
    check = Check(
        name="webhook p95", verdict=FAIL, value=4012.4, limit=500, unit="ms", samples=1000, detail="slow"
    )
    assert str(check) == "webhook p95: fail: 4012.4 ms, limit 500 ms, samples 1000: slow"


def test_what_was_left_out_stands_in_the_report() -> None:
    """With why; a report without the field, as those of earlier releases in the state, left out nothing."""
    check = Check(name="c", verdict=PASS, value=1, limit=2, samples=3)
    report = Report.of("smoke", [check], 1.0, left_out=["TLS, --base-url is http"])
    assert report.verdict is PASS
    assert Report.model_validate_json(report.model_dump_json()).left_out == ["TLS, --base-url is http"]
    kept = report.model_dump(mode="json")
    del kept["left_out"]
    assert Report.model_validate(kept).left_out == []
