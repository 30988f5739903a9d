"""Inngest's event API: takes events, one or a list, and gives each an id."""

from __future__ import annotations

import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, in_shape, read_json


def inngest_app() -> Starlette:
    """`/e/{key}`, for any event key."""
    return Starlette(
        routes=[Route("/e/{key}", _take_events, methods=["POST"])],
        exception_handlers=in_shape(_inngest_error),
    )


async def _take_events(request: Request) -> Response:
    body = await read_json(request)
    events = body if isinstance(body, list) else [body]
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("name"), str) or not event["name"]:
            raise RefusedError(400, "event name is empty")
    return JSONResponse({"ids": [secrets.token_hex(13).upper() for _ in events], "status": 200})


def _inngest_error(status: int, message: str) -> dict[str, Any]:
    return {"error": message, "status": status}
