"""Sentry's ingestion: takes envelopes (also compressed) for any project and key."""

from __future__ import annotations

import json
import secrets
import zlib
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import MAX_BODY_BYTES, RefusedError, in_shape, read_bytes


def sentry_app() -> Starlette:
    """`/api/{project}/envelope/`."""
    return Starlette(
        routes=[Route("/api/{project:int}/envelope/", _take_envelope, methods=["POST"])],
        exception_handlers=in_shape(_sentry_error),
    )


async def _take_envelope(request: Request) -> Response:
    header = _header_of(_decoded(await read_bytes(request), request.headers.get("Content-Encoding", "")))
    if not ("X-Sentry-Auth" in request.headers or "sentry_key" in request.query_params or "dsn" in header):
        raise RefusedError(403, "missing authorization information")
    event_id = header.get("event_id") or secrets.token_hex(16)
    return JSONResponse({"id": str(event_id).replace("-", "")})


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise RefusedError(415, f"unsupported content encoding {encoding!r}")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        decoded = inflater.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise RefusedError(400, f"invalid {encoding} body: {error}") from error
    if inflater.unconsumed_tail:
        raise RefusedError(413, "envelope exceeded size limits")
    return decoded


def _header_of(envelope: bytes) -> dict[str, Any]:
    try:
        header = json.loads(envelope.split(b"\n", 1)[0])
    except ValueError as error:
        raise RefusedError(400, "invalid event envelope: missing or malformed header") from error
    if not isinstance(header, dict):
        raise RefusedError(400, "invalid event envelope: the header is not an object")
    return header


def _sentry_error(status: int, message: str) -> dict[str, Any]:
    return {"detail": message, "causes": []}
