"""What is measured has a core to itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.cores import placed

ASK = "import os; print(*os.sched_getaffinity(0))"


def cores(*, alone: bool) -> set[int]:
    """Those that a program started there may use."""
    with placed(alone=alone):
        asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True, text=True)
    return {int(core) for core in asked.stdout.split()}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is all there is")
def test_what_is_measured_has_a_core_to_itself() -> None:
    """The others have all the rest, and we are left where we were."""
    before = os.sched_getaffinity(0)
    measured, others = cores(alone=True), cores(alone=False)
    assert len(measured) == 1
    assert others == before - measured
    assert os.sched_getaffinity(0) == before


def test_one_core_is_shared() -> None:
    """Where there is nothing to choose from, all run on it."""
    before = os.sched_getaffinity(0)
    only = {min(before)}
    os.sched_setaffinity(0, only)
    try:
        assert cores(alone=True) == cores(alone=False) == only
    finally:
        os.sched_setaffinity(0, before)
