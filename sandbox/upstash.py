"""Upstash's REST API in front of a real Redis: commands, pipelines and transactions, replies in base64.

Held to https://upstash.com/docs/redis/features/restapi. The forms with the command in the path are left out.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, bearer_token, in_shape, read_json

MAX_REQUEST_BYTES = 10 * 1024 * 1024
"""Upstash's limit for one request."""

REDIS_TIMEOUT_S = 10.0

_BLOCKING = frozenset(
    {"BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT"}
    | {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"}
)
_MAY_BLOCK = frozenset({"XREAD", "XREADGROUP"})

Command = list[str | int | float]


def upstash_app(redis_url: str) -> Starlette:
    """`/`, `/pipeline` and `/multi-exec`, wanting a bearer token."""
    upstash = Upstash(redis_url)
    routes = [
        Route("/", upstash.command, methods=["POST"]),
        Route("/pipeline", upstash.pipeline, methods=["POST"]),
        Route("/multi-exec", upstash.transaction, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=in_shape(_upstash_error))


class Upstash:
    """The endpoints over the Redis at *redis_url*."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url

    async def command(self, request: Request) -> Response:
        """One command; an error reply is a 400."""
        _let_in(request)
        command = _as_command(await read_json(request, limit=MAX_REQUEST_BYTES))
        (reply,) = await self._ask([command], transaction=False)
        if isinstance(reply, ResponseError):
            raise RefusedError(400, _told(reply))
        return JSONResponse(_item(reply, request))

    async def pipeline(self, request: Request) -> Response:
        """Commands one after another; each has its result or its error."""
        return await self._many(request, transaction=False)

    async def transaction(self, request: Request) -> Response:
        """Commands as one step."""
        return await self._many(request, transaction=True)

    async def _many(self, request: Request, *, transaction: bool) -> Response:
        _let_in(request)
        given = await read_json(request, limit=MAX_REQUEST_BYTES)
        if not isinstance(given, list) or not given:
            raise RefusedError(400, "ERR empty pipeline request")
        commands = [_as_command(command) for command in given]
        replies = await self._ask(commands, transaction=transaction)
        return JSONResponse([_item(reply, request) for reply in replies])

    async def _ask(self, commands: Sequence[Command], *, transaction: bool) -> list[Any]:
        try:
            async with _connected(self._redis_url) as redis:
                step = redis.pipeline(transaction=transaction)
                for command in commands:
                    step.execute_command(*command)
                replies: list[Any] = await step.execute(raise_on_error=False)
        except ResponseError as error:  # a transaction with an impossible command
            raise RefusedError(400, _told(error)) from error
        except (RedisError, OSError) as error:
            raise RefusedError(500, f"ERR Redis is away: {type(error).__name__}") from error
        return replies


@asynccontextmanager
async def _connected(redis_url: str) -> AsyncIterator[Redis]:
    """A client for each request, as stateless as REST; its replies are left as Redis gives them."""
    redis = Redis.from_url(
        redis_url, protocol=2, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
    )
    redis.response_callbacks.clear()
    async with redis:
        yield redis


def _let_in(request: Request) -> None:
    if not bearer_token(request):
        raise RefusedError(401, "Unauthorized")


def _as_command(given: object) -> Command:
    """A command that REST can do.

    Raises:
        RefusedError: 400 if it is none, or one that blocks.
    """
    if (
        not isinstance(given, list)
        or not given
        or not all(isinstance(part, str | int | float) for part in given)
    ):
        raise RefusedError(400, "ERR failed to parse command")
    name, words = str(given[0]).upper(), {str(part).upper() for part in given}
    if name in _BLOCKING or (name in _MAY_BLOCK and "BLOCK" in words):
        raise RefusedError(400, f"ERR Command is not available: '{name}'")
    return given


def _item(reply: Any, request: Request) -> dict[str, Any]:
    """A reply as an item of the answer: its result, in base64 if *request* asks for it, or its error."""
    if isinstance(reply, Exception):
        return {"error": _told(reply)}
    encoded = request.headers.get("Upstash-Encoding") == "base64"
    return {"result": _result(reply, encoded=encoded)}


def _result(reply: Any, *, encoded: bool) -> Any:
    if isinstance(reply, list):
        return [_result(part, encoded=encoded) for part in reply]
    if not isinstance(reply, bytes):
        return reply
    if encoded and reply != b"OK":
        return base64.b64encode(reply).decode()
    return reply.decode(errors="replace")


def _told(error: Exception) -> str:
    """Redis's error with its code, which redis-py splits off where it has a class for it."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)


def _upstash_error(_status: int, message: str) -> dict[str, Any]:
    return {"error": message}
