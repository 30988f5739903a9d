"""Convex: every function exists and returns null; queries and mutations differ only in their path."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, in_shape, read_object


def convex_app() -> Starlette:
    """`/version`, `/api/query` and `/api/mutation`."""
    routes = [
        Route("/version", _version, methods=["GET"]),
        Route("/api/query", _run, methods=["POST"]),
        Route("/api/mutation", _run, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=in_shape(_convex_error))


async def _version(request: Request) -> Response:
    return PlainTextResponse("unknown")


async def _run(request: Request) -> Response:
    body = await read_object(request)
    if not isinstance(body.get("path"), str) or not body["path"]:
        raise RefusedError(400, "missing field `path`")
    if not isinstance(body.get("args", {}), dict | list):
        raise RefusedError(400, "`args` should be an object or an array")
    if body.get("format", "json") != "json":
        raise RefusedError(400, f"unknown format {body['format']!r}")
    return JSONResponse({"status": "success", "value": None, "logLines": []})


def _convex_error(status: int, message: str) -> dict[str, Any]:
    return {"code": "BadRequest" if status == 400 else "RequestFailed", "message": message}
