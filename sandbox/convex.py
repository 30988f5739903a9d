"""Convex: the functions of the runbook's module over its HTTP API, worded as Convex words its answers.

A function that fails is HTTP 200 with `status: error`; only what is no call of a function has another status.
Numbers are floating point, as Convex's are.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, in_shape, read_object
from sandbox.convex_module import FUNCTIONS, Function, Tables


class FunctionError(Exception):
    """A function that could not be run; the message is Convex's."""


def convex_app(tables: Tables, deploy_key: str | None = None) -> Starlette:
    """`/version`, `/api/query` and `/api/mutation` over *tables*.

    The functions are internal: if there is a *deploy_key*, they cannot be found without it.
    """

    async def run(request: Request) -> Response:
        path, args = _call(await read_object(request))
        is_admin = _is_admin(request, deploy_key)
        try:
            function = _find(path, is_admin=is_admin)
            _check_type(path, function, request.url.path.rpartition("/")[2])
            _check_args(function, args)
        except FunctionError as error:
            return JSONResponse({"status": "error", "errorMessage": _described(error), "logLines": []})
        value = function.run(tables, **args)
        return JSONResponse({"status": "success", "value": value, "logLines": []})

    routes = [
        Route("/version", _version, methods=["GET"]),
        Route("/api/query", run, methods=["POST"]),
        Route("/api/mutation", run, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=in_shape(_convex_error))


async def _version(request: Request) -> Response:
    return PlainTextResponse("unknown")


def _call(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path and the arguments, which may be an object or a list of one object."""
    path, args = body.get("path"), body.get("args")
    if not isinstance(path, str) or not path:
        raise RefusedError(400, "missing field `path`")
    if isinstance(args, list) and len(args) == 1:
        args = args[0]
    if not isinstance(args, dict):
        raise RefusedError(400, "`args` should be an object or an array of one")
    if body.get("format", "json") != "json":
        raise RefusedError(400, f"unknown format {body['format']!r}")
    return path, args


def _is_admin(request: Request, deploy_key: str | None) -> bool:
    """Whether the caller may run internal functions."""
    if deploy_key is None:
        return True
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "convex":
        return False
    if not secrets.compare_digest(key.encode(), deploy_key.encode()):
        message = "The provided admin key was invalid for this instance"
        raise RefusedError(401, message, {"code": "BadAdminKey", "message": message})
    return True


def _find(path: str, *, is_admin: bool) -> Function:
    function = FUNCTIONS.get(path)
    if function is None or not is_admin:
        raise FunctionError(
            f"Could not find public function for '{path}'. "
            "Did you forget to run `npx convex dev` or `npx convex deploy`?"
        )
    return function


def _check_type(path: str, function: Function, called_as: str) -> None:
    if called_as != function.type:
        shown = path.replace(":", ".js:")
        raise FunctionError(
            f"Trying to execute {shown} as {called_as.capitalize()}, "
            f"but it is defined as {function.type.capitalize()}."
        )


def _check_args(function: Function, args: dict[str, Any]) -> None:
    """Refuse arguments as Convex does: with all of them quoted."""
    quoted = f"Object: {json.dumps(args)}\nValidator: {function.validator}"
    for name, argument in function.args.items():
        if name not in args:
            raise FunctionError(
                f"ArgumentValidationError: Object is missing the required field `{name}`. Consider wrapping "
                f"the field validator in `v.optional(...)` if this is expected.\n\n{quoted}"
            )
        if not argument.matches(args[name]):
            raise FunctionError(
                "ArgumentValidationError: Value does not match validator.\n"
                f"Path: .{name}\nValue: {json.dumps(args[name])}\nValidator: {argument.validator}"
            )
    for name in args.keys() - function.args.keys():
        raise FunctionError(
            f"ArgumentValidationError: Object contains extra field `{name}` that is not in the validator."
            f"\n\n{quoted}"
        )


def _described(error: FunctionError) -> str:
    return f"[Request ID: {secrets.token_hex(8)}] Server Error\n{error}\n"


def _convex_error(status: int, message: str) -> dict[str, Any]:
    return {"code": "BadRequest" if status == 400 else "RequestFailed", "message": message}
