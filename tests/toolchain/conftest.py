"""What the tests of the toolchain share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Tool = Callable[[str, str], Path]


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """Put a shell script on the search path."""

    def make(name: str, script: str) -> Path:
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make
