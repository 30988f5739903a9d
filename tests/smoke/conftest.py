"""The limits of most runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from smoke_limits import limits_file


@pytest.fixture(scope="session")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those that nothing waits for."""
    return limits_file(tmp_path_factory.mktemp("limits"))
