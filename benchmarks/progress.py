"""How a benchmark tells what it has just found."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
