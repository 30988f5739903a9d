"""Where alerts go beside mail: a team channel as Slack has it, a heartbeat's check as healthchecks.io has."""

from __future__ import annotations

import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, read_object
from sandbox.kept import Kept


def channel_app(posts: Kept) -> Starlette:
    """A webhook at any path; each message is kept in *posts* with the path as its `hook`."""

    async def post(request: Request) -> Response:
        try:
            message = await read_object(request)
        except RefusedError:
            return PlainTextResponse("invalid_payload", 400)
        if not any(message.get(part) for part in ("text", "attachments", "blocks")):
            return PlainTextResponse("no_text", 400)
        posts.add({**message, "hook": request.path_params["hook"]})
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/{hook:path}", post, methods=["POST"])])


def heartbeat_app(pings: Kept) -> Starlette:
    """A check for any UUID; when it was pinged is kept in *pings*."""

    async def ping(request: Request) -> Response:
        now = datetime.datetime.now(datetime.UTC)
        pings.add({"check": str(request.path_params["check"]), "at": now.isoformat()})
        return PlainTextResponse("OK")

    return Starlette(routes=[Route("/{check:uuid}", ping, methods=["GET", "POST"])])
