from hypothesis import given
from hypothesis import strategies as st

from loadtests.percentile import percentile, rank

samples = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@given(samples, st.floats(0.01, 1))
def test_percentile_is_a_sample_with_its_share_at_or_below_it(values: list[float], share: float) -> None:
    """The percentile is a measured value; its share of samples lie at or below it, and fewer below it."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < max(share * len(values), 1e-6)


def test_nothing_is_rounded() -> None:
    """3,049 ms is reported as 3,049 ms, where Locust's own statistics say 3,000."""
    assert percentile([3.049] * 59, 0.95) == 3.049


def test_no_samples_have_no_percentile() -> None:
    """Without samples there is no percentile, and not a good one."""
    assert percentile([], 0.95) is None


def test_p95_allows_one_in_twenty() -> None:
    """Of 100 samples, the five slowest lie above the 95th percentile."""
    assert rank(100, 0.95) == 95
    assert percentile([*[1.0] * 95, *[9.0] * 5], 0.95) == 1.0
    assert percentile([*[1.0] * 94, *[9.0] * 6], 0.95) == 9.0
