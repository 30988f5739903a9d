"""Which core a program runs on: what is measured has one to itself, all else shares the others.

Where the scheduler puts three busy processes on two cores is luck, and took a quarter of ours. So both sides
are placed, and in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def placed(*, alone: bool) -> Iterator[None]:
    """Have the programs that the block starts run on the core kept for what is measured, or on the others.

    Where there is only one core, all share it.
    """
    allowed = os.sched_getaffinity(0)
    first, *others = sorted(allowed)
    os.sched_setaffinity(0, {first} if alone else others or {first})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
