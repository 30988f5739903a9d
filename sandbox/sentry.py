"""Sentry's ingestion: takes envelopes (also compressed) for any project and key, and keeps their items."""

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
from sandbox.kept import Kept


def sentry_app(events: Kept) -> Starlette:
    """`/api/{project}/envelope/`; each item of an envelope is kept in *events* as its type and payload."""

    async def take_envelope(request: Request) -> Response:
        envelope = _decoded(await read_bytes(request), request.headers.get("Content-Encoding", ""))
        header = _object_in(envelope.partition(b"\n")[0], "header")
        in_url = "sentry_key" in request.query_params
        if not (in_url or "X-Sentry-Auth" in request.headers or "dsn" in header):
            raise RefusedError(403, "missing authorization information")
        for item in _items_of(envelope):
            events.add(item)
        event_id = header.get("event_id") or secrets.token_hex(16)
        return JSONResponse({"id": str(event_id).replace("-", "")})

    return Starlette(
        routes=[Route("/api/{project:int}/envelope/", take_envelope, methods=["POST"])],
        exception_handlers=in_shape(_sentry_error),
    )


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


def _items_of(envelope: bytes) -> list[dict[str, Any]]:
    """Header and payload by turns, a line each; a payload with line ends has its length in the header."""
    rest, items = envelope.partition(b"\n")[2], []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = _object_in(line, "item header")
        length = header.get("length")
        if not isinstance(length, int) or not 0 <= length <= len(rest):
            length = len(rest.partition(b"\n")[0])
        payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        items.append({"type": header.get("type"), "payload": _readable(payload)})
    return items


def _readable(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def _object_in(line: bytes, what: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError as error:
        raise RefusedError(400, f"invalid event envelope: missing or malformed {what}") from error
    if not isinstance(header, dict):
        raise RefusedError(400, f"invalid event envelope: the {what} is not an object")
    return header


def _sentry_error(status: int, message: str) -> dict[str, Any]:
    return {"detail": message, "causes": []}
