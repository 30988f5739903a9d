"""Reading request bodies: bounded, and refused with one error that each service puts into its own shape."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MAX_BODY_BYTES = 1_048_576

Shape = Callable[[int, str], dict[str, Any]]
"""How a service words an error: (status, message) to its JSON body."""


class RefusedError(Exception):
    """The request cannot be served: a status and the reason; *body* where a service words just this one."""

    def __init__(self, status: int, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body = body


async def read_bytes(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body's bytes.

    Raises:
        RefusedError: 413 beyond *limit*, chunked bodies included.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RefusedError(413, "request entity too large")
    return bytes(body)


async def read_json(request: Request, *, limit: int = MAX_BODY_BYTES) -> Any:
    """The body as JSON.

    Raises:
        RefusedError: 400 if it is none, 413 if it is too large.
    """
    try:
        return json.loads(await read_bytes(request, limit=limit))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from error


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        RefusedError: 400 if it is none, 413 if it is too large.
    """
    value = await read_json(request)
    if not isinstance(value, dict):
        raise RefusedError(400, f"the body should be a JSON object, got {type(value).__name__}")
    return value


def bearer_token(request: Request) -> str | None:
    """The token of `Authorization: Bearer <token>`, if there is one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def in_shape(shape: Shape) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Handlers that answer refusals, unknown paths and wrong methods in one service's own *shape*."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return JSONResponse(error.body or shape(error.status, error.message), status_code=error.status)

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"Cannot {request.method} {request.url.path}"
        return JSONResponse(
            shape(error.status_code, message), status_code=error.status_code, headers=error.headers
        )

    return {RefusedError: refused, HTTPException: unrouted}
