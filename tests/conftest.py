"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """SIGINT interrupts, for us and for what tests start: a shell's background jobs begin with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
