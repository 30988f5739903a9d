"""Answer times as a shared machine gives them: heavy tails, and noise that lasts and hits all alike."""

from __future__ import annotations

import numpy as np

from loadtests.book import Timed

RATE = 50
SECONDS = 20
_STEPS = 10
"""Of the machine's noise, each second."""


def machine_noise(rng: np.random.Generator) -> np.ndarray:
    """How much slower all is at each moment (a logarithm): a drift, and other work now and then."""
    noise = np.zeros(SECONDS * _STEPS)
    for step in range(1, len(noise)):
        noise[step] = 0.8 * noise[step - 1] + rng.normal(0, 0.25)
    for start in rng.integers(0, len(noise), rng.poisson(SECONDS / 4)):
        noise[start : start + rng.integers(1, 8)] += rng.uniform(0.5, 1.5)
    return noise


def times(
    rng: np.random.Generator, noise: np.ndarray, *, slower: float = 1, shift_s: float = 0
) -> list[Timed]:
    """Answer times at an even rate, *slower* times the ordinary ones."""
    due_s = np.arange(RATE * SECONDS) / RATE + shift_s
    common = np.exp(noise[np.minimum((due_s * _STEPS).astype(int), len(noise) - 1)])
    own = np.exp(rng.normal(0, 0.35, len(due_s))) * (1 + rng.pareto(2.5, len(due_s)) / 2)
    return [Timed(due, took) for due, took in zip(due_s, 0.006 * slower * common * own, strict=True)]


def side_by_side(seed: int, slower: float) -> tuple[list[Timed], list[Timed]]:
    """A candidate so many times slower, and the live release, by turns on one machine."""
    rng = np.random.default_rng(seed)
    noise = machine_noise(rng)
    return times(rng, noise, slower=slower), times(rng, noise, shift_s=0.5 / RATE)
