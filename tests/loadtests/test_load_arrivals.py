import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import BAD_SIGNATURES, DUPLICATES, RETRIED_AFTER_S, Kind, Plan, PlanError
from loadtests.scenarios import Phase

rates = st.floats(1, 500)
seconds = st.floats(0, 20)
measured = st.floats(1, 20)


@given(rates, seconds, measured)
def test_rate_is_kept_over_the_whole_plan(rate: float, warmup_s: float, duration_s: float) -> None:
    """Arrivals are evenly spaced from time 0, as many as the rate gives, and at least one is measured."""
    plan = Plan.steady(rate, warmup_s, duration_s)
    assert plan.due_s[0] == 0
    assert all(later - earlier == pytest.approx(1 / rate) for earlier, later in pairwise(plan.due_s))
    assert plan.total == pytest.approx(rate * (warmup_s + duration_s), abs=2)
    assert plan.counted >= 1


@given(rates, seconds, measured)
def test_warmup_ends_where_counting_begins(rate: float, warmup_s: float, duration_s: float) -> None:
    """Every counted arrival is due at or after the end of the warm-up, every other before it."""
    plan = Plan.steady(rate, warmup_s, duration_s)
    assert plan.due_s[plan.counted_from] >= warmup_s - 1e-6
    assert all(due_s < warmup_s for due_s in plan.due_s[: plan.counted_from])


def test_usual_plan_has_exactly_its_arrivals() -> None:
    """50/s for 2 s and 20 s are 1,100 webhooks of which 1,000 count: no rounding adds or takes one."""
    plan = Plan.steady(50, 2, 20)
    assert (plan.total, plan.counted) == (1100, 1000)


def test_endless_plan_is_refused() -> None:
    """A plan that cannot be kept account of is an error before anything is sent."""
    with pytest.raises(PlanError, match="more than 5000000 webhooks"):
        Plan.steady(50, 0, 1e9)


def test_plan_in_which_nothing_counts_is_refused() -> None:
    """A plan whose last webhook is due in the warm-up would be sent for nothing."""
    with pytest.raises(PlanError, match="1 webhooks are due, and none after the warm-up of 5 s"):
        Plan.steady(0.1, 5, 1)


@given(st.floats(0, 200), st.floats(0, 200), st.floats(1, 20))
def test_ramp_brings_what_lies_under_its_line(first: float, last: float, seconds: float) -> None:
    """Up to any time as many webhooks are due as the rate, rising or falling evenly, adds up to."""
    phase = Phase(seconds=seconds, rate_per_s=first, to_per_s=last)
    due_s = Plan.of([Phase(at_once=1), phase], 0).due_s[1:]
    slope = (last - first) / seconds
    assert list(due_s) == sorted(due_s)
    assert all(0 <= due <= seconds + 1e-6 for due in due_s)
    assert [first * due + slope * due * due / 2 for due in due_s] == pytest.approx(
        range(len(due_s)), abs=1e-4
    )
    assert len(due_s) == pytest.approx((first + last) / 2 * seconds, abs=1)


def test_phases_follow_each_other() -> None:
    """A backlog is due at one moment, between what is due evenly before it and after a pause."""
    phases = [
        Phase(seconds=1, rate_per_s=2),
        Phase(at_once=3),
        Phase(seconds=2),
        Phase(seconds=1, rate_per_s=2),
    ]
    assert list(Plan.of(phases, 0).due_s) == [0, 0.5, 1, 1, 1, 3, 3.5]


@given(st.floats(0, 0.5), st.floats(0, 0.4))
def test_shares_are_exact(duplicates: float, bad_signatures: float) -> None:
    """As many duplicates and bad signatures are planned as their shares say, of each form as many."""
    plan = Plan.of([Phase(at_once=1000)], 0, duplicates=duplicates, bad_signatures=bad_signatures)
    assert plan.count(DUPLICATES) == pytest.approx(999 * duplicates, abs=2)
    assert plan.count(BAD_SIGNATURES) == pytest.approx(999 * bad_signatures, abs=2)
    for kinds in (DUPLICATES, BAD_SIGNATURES):
        counts = [plan.count([kind]) for kind in kinds]
        assert max(counts) - min(counts) <= 1


def test_duplicate_repeats_a_message_that_was_due_before() -> None:
    """Each duplicate is of a new message before it; a retry of one as long ago as WAHA waits."""
    plan = Plan.of([Phase(seconds=10, rate_per_s=20)], 0, duplicates=0.4, bad_signatures=0.2)
    for index, kind in enumerate(plan.kinds):
        original = plan.originals[index]
        if kind not in DUPLICATES:
            assert original == index
            continue
        assert plan.kinds[original] == Kind.MESSAGE
        assert original < index
        if kind == Kind.RETRIED and plan.due_s[index] >= RETRIED_AFTER_S:
            assert plan.due_s[index] - plan.due_s[original] >= RETRIED_AFTER_S


def test_bad_signatures_do_not_count_in_percentiles() -> None:
    """They are refused before any work is done, and would make every percentile look good."""
    plan = Plan.of([Phase(at_once=100)], 0, bad_signatures=0.5)
    assert plan.counted == plan.count([Kind.MESSAGE])


@given(st.floats(1, 5000))
def test_dither_fills_the_millisecond_and_keeps_the_order(rate: float) -> None:
    """By less than a millisecond and than the gap to the next, and evenly over it."""
    plan = Plan.steady(rate, 0, max(300 / rate, 1))
    dithered = plan.dithered().due_s
    later_s = [after - before for before, after in zip(plan.due_s, dithered, strict=True)]
    gap_s = min(0.001, 1 / rate)
    assert list(dithered) == sorted(dithered)
    assert all(-1e-9 <= later < gap_s + 1e-9 for later in later_s)
    quarters = [sum(later * 4 // gap_s == quarter for later in later_s[:300]) for quarter in range(4)]
    assert rate < 100 or min(quarters) > 60


def test_dithered_times_are_on_no_grid() -> None:
    """Two releases whose replies take 3.9 and 4.1 ms differ by that, though replies are told to the ms."""

    def told_s(took_s: float) -> float:
        due_s = Plan.steady(50, 0, 20).dithered().due_s
        times = sorted(math.floor((due + took_s) * 1000) / 1000 - due for due in due_s)
        return times[len(times) // 2]

    assert told_s(0.0041) / told_s(0.0039) == pytest.approx(1.06, abs=0.02)
