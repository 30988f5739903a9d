"""Throttle and rate: what is told seldom, and what only counts when it is frequent."""

from __future__ import annotations

from service.telemetry.throttle import Rate, Throttle


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_key_passes_once_in_its_time() -> None:
    """Of one kind the first passes, others are held back and counted for the next; kinds do not share."""
    clock = Clock()
    throttle = Throttle(60, clock)
    assert [throttle.let_through(key) for key in ("a", "a", "b", "a")] == [0, None, 0, None]
    clock.now += 59.9
    assert throttle.let_through("a") is None
    clock.now += 0.1
    assert throttle.let_through("a") == 3
    clock.now += 60
    assert throttle.let_through("a") == 0


def test_rate_is_exceeded_by_one_more_than_allowed() -> None:
    """Twenty a minute are fine, the twenty-first is not, and the window slides."""
    clock = Clock()
    rate = Rate(20, 60, clock)
    verdicts = []
    for _ in range(21):
        verdicts.append(rate.is_exceeded())
        clock.now += 1
    assert verdicts == [False] * 20 + [True]
    clock.now += 60  # all of them are longer ago than a minute, or nearly
    assert not rate.is_exceeded()


def test_slow_failures_never_exceed_the_rate() -> None:
    """At exactly the allowed pace nothing is exceeded, however long it goes on."""
    clock = Clock()
    rate = Rate(20, 60, clock)
    verdicts = set()
    for _ in range(200):
        verdicts.add(rate.is_exceeded())
        clock.now += 3.01
    assert verdicts == {False}
