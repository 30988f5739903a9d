"""What was found, held against the targets."""

from __future__ import annotations

import pytest
from bench_kit import drain, latency, load, report, samples

from benchmarks import memory, webhooks
from benchmarks.checks import checks_of
from benchmarks.report import BenchReport
from contracts.targets import Bench
from contracts.verdict import Check, Verdict

TARGETS = Bench(
    times_reference=8, p99_ms=20, memory_growth=0.05, memory_growth_mb=5, worker_per_s=1000, times_jq=10
)


def only_check(found: BenchReport) -> Check:
    """The one check of a report with one part."""
    (check,) = checks_of(found, TARGETS)
    return check


def test_the_ratio_is_taken_round_by_round() -> None:
    """A machine that is slower in one round is so for both sides of it: the median of the ratios counts."""
    found = webhooks.summary(
        {
            "reference": [load(1000), load(500), load(1000)],
            "tuned": [load(2000), load(2000), load(2000)],
            "ours": [load(9000), load(4000), load(7000)],
        }
    )
    assert (found.ratio, found.ratio_range, found.tuned_ratio) == (8, (7, 9), 3.5)
    assert found.per_second == {"reference": 1000, "tuned": 2000, "ours": 7000}


@pytest.mark.parametrize(("ours", "verdict"), [(8000, Verdict.PASS), (7990, Verdict.FAIL)])
def test_webhooks_must_reach_the_ratio(ours: float, verdict: Verdict) -> None:
    """Exactly it is enough."""
    found = webhooks.summary({"reference": [load(1000)], "tuned": [load(1500)], "ours": [load(ours)]})
    assert only_check(report(webhooks=found)).verdict is verdict


def test_a_generator_at_its_limit_is_named() -> None:
    """The figure then says what the generator can do."""
    found = webhooks.summary(
        {"reference": [load(1000)], "tuned": [load(1500)], "ours": [load(9000, generator=0.95)]}
    )
    assert "generator-bound" in only_check(report(webhooks=found)).detail
    found = webhooks.summary(
        {"reference": [load(1000, generator=0.95)], "tuned": [load(1500)], "ours": [load(9000)]}
    )
    assert "generator-bound" not in only_check(report(webhooks=found)).detail


@pytest.mark.parametrize(("others", "told"), [(0.1, False), (0.6, True)])
def test_a_machine_with_other_work_is_named(others: float, told: bool) -> None:
    """The figures then say less, whichever side it hit."""
    quiet = load(1000)
    busy = quiet.model_copy(update={"cpu": quiet.cpu | {"others": others}})
    found = webhooks.summary({"reference": [busy], "tuned": [load(1500)], "ours": [quiet]})
    assert ("disturbed" in only_check(report(webhooks=found)).detail) == told


@pytest.mark.parametrize(("p99_ms", "verdict"), [(19.9, Verdict.PASS), (20.0, Verdict.FAIL)])
def test_p99_must_be_below_its_limit(p99_ms: float, verdict: Verdict) -> None:
    """Ours, not the reference's."""
    assert only_check(report(latency=latency(p99_ms))).verdict is verdict


@pytest.mark.parametrize(
    ("memory_mb", "verdict"),
    [
        ([50, *[80] * 19], Verdict.PASS),  # the first tenth is the warm-up
        ([80, 80, 84.9], Verdict.PASS),  # less than 5 MB
        ([80, 80, 85.1], Verdict.FAIL),
        ([200, 200, 209.9], Verdict.PASS),  # less than 5 %
        ([200, 200, 210.1], Verdict.FAIL),
        ([80, 80, 60], Verdict.PASS),
    ],
)
def test_memory_must_not_grow(memory_mb: list[float], verdict: Verdict) -> None:
    """From a tenth of the webhooks to the last, by no more than the share or the MB that are allowed."""
    found = memory.summary(load(1000), samples(memory_mb))
    assert only_check(report(memory=found)).verdict is verdict


def test_a_leak_has_a_slope() -> None:
    """In MB for each 100,000 webhooks: here 1 MB each 10,000."""
    found = memory.summary(load(1000), samples([80.0 + number for number in range(20)]))
    assert found.rss_mb.slope == pytest.approx(10)
    assert (found.rss_mb.at_tenth, found.rss_mb.last, found.rss_mb.peak) == (81, 99, 99)


@pytest.mark.parametrize(("per_second", "verdict"), [(1000, Verdict.PASS), (999, Verdict.FAIL)])
def test_a_worker_must_reach_its_rate(per_second: float, verdict: Verdict) -> None:
    """Exactly it is enough."""
    assert only_check(report(worker=drain(per_second))).verdict is verdict


def test_what_was_not_measured_is_not_judged() -> None:
    """No figure, no check."""
    assert checks_of(report(), TARGETS) == []
