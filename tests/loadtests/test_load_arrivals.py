from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.arrivals import Plan, PlanError

rates = st.floats(0.1, 500)
seconds = st.floats(0, 20)


@given(rates, seconds, seconds)
def test_rate_is_kept_over_the_whole_plan(rate: float, warmup_s: float, duration_s: float) -> None:
    """Arrivals are evenly spaced from time 0, as many as the rate gives, and at least one is measured."""
    plan = Plan.steady(rate, warmup_s, duration_s)
    assert plan.due_s[0] == 0
    assert all(later - earlier == pytest.approx(1 / rate) for earlier, later in pairwise(plan.due_s))
    assert plan.total == pytest.approx(rate * (warmup_s + duration_s), abs=2)
    assert plan.counted >= 1


@given(rates, seconds, st.floats(1, 20))
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
        Plan.steady(50, 0, float("inf"))
