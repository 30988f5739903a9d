"""One candidate of the comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """`packages` are what must be installed, by their names on PyPI; `measure` gives the row's figures."""

    name: str
    packages: tuple[str, ...]
    measure: Callable[[], tuple[str, ...]]
