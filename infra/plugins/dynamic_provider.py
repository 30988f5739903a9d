"""The SDK's provider of dynamic resources, except that a refusal is reported without a traceback."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Callable

from infra.errors import Refused


def message_of(format_exc: Callable[[], str]) -> Callable[[], str]:
    """What the engine is told about the exception at hand; *format_exc* speaks for all but refusals."""

    def describe() -> str:
        error = sys.exception()
        return str(error) if isinstance(error, Refused) else format_exc()

    return describe


def main() -> None:
    """Serve until the engine ends us."""
    # The SDK's module serves as soon as it is imported; what it formats with is the one seam it leaves.
    traceback.format_exc = message_of(traceback.format_exc)  # type: ignore[assignment]
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
