"""Whether what was counted may be chance."""

from __future__ import annotations

RARE = 0.001
"""What is less likely than this is not put down to chance."""


def chance_of(hits: int, among: int, share: float) -> float:
    """How likely at least so many *hits* are *among* so many, where a *share* (0 to 1) of all is one."""
    # Imported here: it takes a third of a second, and is asked for when something is wrong.
    from scipy.special import bdtrc

    return float(bdtrc(hits - 1, among, share)) if hits else 1.0
