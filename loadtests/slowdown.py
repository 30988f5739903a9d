"""How much slower one release is than another, measured side by side, and how certain that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtests.book import Timed
from loadtests.percentile import percentile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
_SEED = 1
_MOST_AT_ONCE = 4_000_000
_LEAST_S = 1e-4
"""Times below it are no longer told apart; so that nothing is divided by zero."""


@dataclass(frozen=True)
class Slowdown:
    """The candidate's *share* quantile over the live release's, with its confidence interval.

    Attributes:
        share: which quantile: 0.5 is the median.
        candidate_s: the candidate's quantile in seconds; `live_s` the live release's.
        ratio: of the two; above 1 the candidate is slower.
        low: below which the true ratio does not lie with the asked-for confidence; `high`: above which.
    """

    share: float
    candidate_s: float
    live_s: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        """For a person: both quantiles in ms, their ratio and its interval."""
        return (
            f"p{self.share * 100:g} {self.candidate_s * 1000:.1f} against {self.live_s * 1000:.1f} ms, "
            f"{self.ratio:.2f} times ({self.low:.2f} to {self.high:.2f})"
        )


def blocks_in(times: Sequence[Timed], block_s: float) -> int:
    """Into how many blocks of time the samples fall."""
    return len({_block(time, block_s) for time in times})


def slowdown(
    candidate: Sequence[Timed], live: Sequence[Timed], share: float, *, block_s: float, confidence: float
) -> Slowdown:
    """Compare the *share* quantiles. All samples count: what is rare and slow is what is looked for.

    Whole blocks of *block_s* seconds are resampled, the same of both releases: what is slow hangs together in
    time, and what else the machine does in a second hits both.
    """
    # Imported here: it takes most of a second, which belongs behind the measurement.
    import numpy as np
    from scipy.stats import bootstrap

    blocks = sorted({_block(time, block_s) for time in (*candidate, *live)})
    sides = [_Side.of(times, blocks, block_s) for times in (candidate, live)]

    def ratio(drawn: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        counts = _counts(drawn.reshape(-1, len(blocks)), len(blocks))
        candidate_s, live_s = (side.quantile(counts, share) for side in sides)
        quotient: NDArray[np.float64] = candidate_s / live_s
        return quotient.reshape(drawn.shape[:-1])

    interval = bootstrap(
        (np.arange(len(blocks)),),
        ratio,
        n_resamples=RESAMPLES,
        batch=max(_MOST_AT_ONCE // max(len(candidate), len(live)), 1),
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(_SEED),  # the same figures have the same verdict
    ).confidence_interval
    candidate_s, live_s = (_quantile(times, share) for times in (candidate, live))
    return Slowdown(
        share, candidate_s, live_s, candidate_s / live_s, float(interval.low), float(interval.high)
    )


@dataclass(frozen=True)
class _Side:
    """The times of one release, ascending, and the number of the block of each."""

    took_s: NDArray[np.float64]
    block: NDArray[np.int64]

    @classmethod
    def of(cls, times: Sequence[Timed], blocks: Sequence[int], block_s: float) -> _Side:
        import numpy as np

        number = {block: position for position, block in enumerate(blocks)}
        ordered = sorted(times, key=lambda time: time.took_s)
        return cls(
            np.maximum([time.took_s for time in ordered], _LEAST_S),
            np.array([number[_block(time, block_s)] for time in ordered]),
        )

    def quantile(self, counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
        """The nearest-rank quantile of each resample. *counts*: how often it has each block; a row each."""
        import numpy as np

        so_many = counts[:, self.block].cumsum(axis=1)
        wanted = np.maximum(np.ceil(share * so_many[:, -1:] - 1e-9), 1)
        position = (so_many >= wanted).argmax(axis=1)
        quantile: NDArray[np.float64] = self.took_s[position]
        return quantile


def _counts(drawn: NDArray[np.int64], blocks: int) -> NDArray[np.int64]:
    """How often each block was drawn, for each row of *drawn*."""
    import numpy as np

    rows = len(drawn)
    numbered = drawn + blocks * np.arange(rows)[:, None]
    return np.bincount(numbered.ravel(), minlength=rows * blocks).reshape(rows, blocks)


def _quantile(times: Sequence[Timed], share: float) -> float:
    return max(percentile([time.took_s for time in times], share) or 0, _LEAST_S)


def _block(time: Timed, block_s: float) -> int:
    return math.floor(time.due_s / block_s)
