"""The same for RSGI, granian's own interface."""

from __future__ import annotations

from typing import Any

from benchmarks.candidates.asgi_app import ANSWER

_HEADERS = [("content-type", "application/json")]


async def app(_scope: Any, protocol: Any) -> None:
    """Answer any request."""
    await protocol()  # the body
    protocol.response_bytes(202, _HEADERS, ANSWER)
