import pytest
from load_samples import side_by_side

from contracts.targets import read_targets
from loadtests.book import Timed
from loadtests.slowdown import Slowdown, blocks_in, slowdown

COMPARE = read_targets().compare
TRIALS = 25


def found(candidate: list[Timed], live: list[Timed], share: float) -> Slowdown:
    """The comparison by the project's own targets."""
    return slowdown(candidate, live, share, block_s=COMPARE.block_s, confidence=COMPARE.confidence)


def refused(slower: float, share: float) -> int:
    """How many of the trials refuse a candidate so many times slower."""
    pairs = (side_by_side(seed, slower) for seed in range(TRIALS))
    return sum(found(*pair, share).low > COMPARE.max_slowdown for pair in pairs)


def test_equal_release_is_not_refused() -> None:
    """On a noisy machine no release that is as fast as the live one is refused, by middle or tail."""
    assert [refused(1, share) for share in (0.5, 0.95)] == [0, 0]


def test_release_at_the_limit_is_not_refused() -> None:
    """As slow as is allowed is allowed: one in a hundred may be refused, of so few hardly any."""
    assert refused(COMPARE.max_slowdown, 0.5) <= 1


def test_release_half_as_slow_again_is_refused() -> None:
    """1.5 times the live release's time is seen each time, whatever else the machine does."""
    assert [refused(1.5, share) for share in (0.1, 0.5)] == [TRIALS, TRIALS]


def test_slow_tail_alone_is_refused() -> None:
    """A candidate whose middle is as fast, and a tenth of it six times as slow, is seen at the tail."""
    pair = side_by_side(1, 1)
    slow = [
        Timed(time.due_s, time.took_s * 6) if index % 10 == 0 else time for index, time in enumerate(pair[0])
    ]
    assert found(slow, pair[1], 0.5).low < COMPARE.max_slowdown
    assert found(slow, pair[1], 0.95).low > COMPARE.max_slowdown


def test_quantiles_are_exact_and_no_sample_is_left_out() -> None:
    """The ratio is that of the measured quantiles, outliers and all."""
    live = [Timed(second + 0.5, 0.01) for second in range(20)]
    candidate = [Timed(time.due_s, 0.01 if time.due_s < 18 else 4) for time in live]
    tail = found(candidate, live, 0.95)
    assert (tail.candidate_s, tail.live_s, tail.ratio) == (4, 0.01, 400)
    assert str(found(live, live, 0.5)) == "p50 10.0 against 10.0 ms, 1.00 times (1.00 to 1.00)"


def test_noise_that_hits_both_is_no_difference() -> None:
    """Seconds in which everything takes ten times as long are drawn for both: the interval stays narrow."""
    live = [Timed(index / 50, 0.1 if index // 50 % 3 == 0 else 0.01) for index in range(1000)]
    candidate = [Timed(time.due_s, time.took_s * 1.4) for time in live]
    assert found(candidate, live, 0.5).low == pytest.approx(1.4)


def test_same_figures_have_the_same_verdict() -> None:
    """Nothing is left to chance once it is measured."""
    assert found(*side_by_side(3, 1.3), 0.5) == found(*side_by_side(3, 1.3), 0.5)


def test_instant_answers_divide_nothing_by_zero() -> None:
    """Times that the clock cannot tell from zero are equal."""
    instant = [Timed(index / 50, 0.0) for index in range(1000)]
    assert found(instant, instant, 0.5).ratio == 1


def test_blocks_are_counted_by_the_time_at_which_webhooks_were_due() -> None:
    """Whatever the samples took, they belong to the second in which they were due."""
    assert blocks_in([Timed(0.2, 9), Timed(0.9, 1), Timed(3, 1)], 1) == 2
