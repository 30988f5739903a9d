import time

import pytest

from loadtests.clocks import wall_ahead_s


class Clocks:
    """Both clocks, of which the wall's is 100 s ahead; the process is put aside before some readings."""

    def __init__(self, *asides_s: float) -> None:
        self._asides_s, self._now_s = list(asides_s), 0.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        self._now_s += self._asides_s.pop(0) if self._asides_s else 0
        return self._now_s

    def time(self) -> float:
        """As `time.time`."""
        return self.monotonic() + 100


@pytest.mark.parametrize("asides_s", [(), (0, 1, 2), (0, 0, 3, 0, 5, 1), (5, 0, 0, 0, 2, 0, 0, 1, 1)])
def test_being_put_aside_between_the_clocks_does_not_count(
    asides_s: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of three readings without a pause is enough."""
    clocks = Clocks(*asides_s)
    monkeypatch.setattr(time, "monotonic", clocks.monotonic)
    monkeypatch.setattr(time, "time", clocks.time)
    assert wall_ahead_s() == 100
