"""Whether what was counted may be chance."""

from __future__ import annotations

SIGNIFICANCE = 0.001
"""What is less likely than this is not put down to chance."""


def binomial_p_value(hits: int, trials: int, share: float) -> float:
    """How likely at least so many *hits* are in *trials*, each of them one with probability *share*."""
    # Imported here: it takes a third of a second, and is asked for when something is wrong.
    from scipy.special import bdtrc

    return float(bdtrc(hits - 1, trials, share)) if hits else 1.0
