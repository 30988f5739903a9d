"""The programs that the chaos tests kill, starve and flood are this machine's own."""

from __future__ import annotations

import pytest
from debian_programs import need


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """See that they are there."""
    need("redis-server", "haproxy")
