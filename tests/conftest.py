"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# Stacks are deployed beside, on the same cores: how long an example takes says nothing about the code.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """SIGINT interrupts, for us and for what tests start: a shell's background jobs begin with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
