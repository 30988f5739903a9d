"""A sandbox inside the test process, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.app import create_app

WAHA_KEY = "waha-key"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a fresh sandbox; it sends WAHA's key and a bearer token with every request."""
    transport = httpx.ASGITransport(create_app(WAHA_KEY))
    headers = {"X-Api-Key": WAHA_KEY, "Authorization": "Bearer token"}
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        yield client
