"""HTTP to outside services, and how it fails in words that hold no secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from redis.exceptions import RedisError

from runbook.checklist.addresses import is_loopback
from runbook.checklist.line import Failed, Line, Result, Skipped

TIMEOUT_S = 5.0
"""For each step of a call."""

WHOLE_S = 20.0
"""For all that one line asks."""


@dataclass(frozen=True)
class Http:
    """Two clients: this machine's own addresses are not asked through a proxy of its environment."""

    outside: httpx.AsyncClient
    here: httpx.AsyncClient

    async def ask(
        self, method: str, url: str, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """The answer, whatever its status.

        Raises:
            httpx.HTTPError: there is none.
        """
        client = self.here if is_loopback(url) else self.outside
        return await client.request(method, url, headers=headers, **more)


@asynccontextmanager
async def http() -> AsyncIterator[Http]:
    """Clients that wait five seconds and follow no redirects."""
    async with (
        httpx.AsyncClient(timeout=TIMEOUT_S) as outside,
        httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as here,
    ):
        yield Http(outside, here)


def bearer(token: str) -> dict[str, str]:
    """The header that most want."""
    return {"Authorization": f"Bearer {token}"}


def json_of(answer: httpx.Response) -> Any:
    """What an answer holds.

    Raises:
        Failed: no JSON: whatever answered is not the service.
    """
    try:
        return answer.json()
    except ValueError:
        raise Failed(
            f"{place_of(answer)} answered something that is no JSON (status {answer.status_code})"
        ) from None


def object_of(answer: httpx.Response) -> dict[str, Any]:
    """What an answer holds, as the object that it should be.

    Raises:
        Failed: it is none.
    """
    found = json_of(answer)
    if not isinstance(found, dict):
        raise Failed(f"{place_of(answer)} answered something that is no JSON object")
    return found


def refused(answer: httpx.Response, what: str) -> Failed:
    """That *what* was not taken."""
    return Failed(f"{place_of(answer)} answered {answer.status_code}: {what}")


def place_of(answer: httpx.Response) -> str:
    """Which address answered; its host and path alone."""
    url = answer.request.url
    return f"{url.scheme}://{url.netloc.decode()}{url.path}"


async def line(group: str, name: str, ask: Callable[[], Awaitable[str]]) -> Line:
    """The line that says what *ask* found, or why it raised."""
    try:
        async with asyncio.timeout(WHOLE_S):
            return Line(group, name, Result.PASSED, await ask())
    except Skipped as why:
        return Line(group, name, Result.SKIPPED, str(why))
    except Failed as why:
        return Line(group, name, Result.FAILED, str(why))
    except httpx.HTTPError as error:
        return Line(group, name, Result.FAILED, unanswered(error))
    except (httpx.InvalidURL, RedisError, OSError, ValueError) as error:
        # TimeoutError has no message, and is an OSError.
        return Line(group, name, Result.FAILED, f"no answer: {str(error) or type(error).__name__}")


def unanswered(error: httpx.HTTPError) -> str:
    """Who did not answer, and how."""
    try:
        where = f"{error.request.url.scheme}://{error.request.url.netloc.decode()}"
    except RuntimeError:  # it failed before there was a request
        where = "it"
    return f"{where} does not answer: {str(error) or type(error).__name__}"
