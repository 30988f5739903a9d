"""Clerk's backend API: the signing keys, for any secret key."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, bearer_token, in_shape

# A real RSA modulus (2048 bits), so that clients can load the key; its private half was thrown away.
_MODULUS = (
    "ro8qDMKo8Id4D4UQvXnLn-KpK9XxufdeE9I8mQDoE1FyIWBkHqLPzUt92AE8u6MPr8K6UonFyVFzwxOXZZsm0r4Mw5"
    "6Mlf__jWjwjvBGrVV6kKt9DvjCoQ7yncTSBcDWOvTH6xVkkECAc6wI9zkTtlzAeIcvOc6ykpwy_PzHP9yscKzypfFm"
    "Cf3PLKGlqJMM3vc0BwNL6XadbMsESMj3kmPSEannIC8l5qYM6w2XMohilwRDqPiwCl8KP_XFaiBmGTSfykSa9nQhdL"
    "B4k6tsTgrsYeLOhUwtkHoYXeP4gOOoyrqN2lXEiQTEIRFwwTDJbN0r5jCpwRECF_C9M09wqw"
)
JWKS = {
    "keys": [{"use": "sig", "kty": "RSA", "kid": "ins_sandbox", "alg": "RS256", "n": _MODULUS, "e": "AQAB"}]
}


def clerk_app() -> Starlette:
    """`/v1/jwks`, wanting a bearer token."""
    return Starlette(
        routes=[Route("/v1/jwks", _jwks, methods=["GET"])], exception_handlers=in_shape(_clerk_error)
    )


async def _jwks(request: Request) -> Response:
    if not bearer_token(request):
        raise RefusedError(401, "Invalid Authorization header format. Must be 'Bearer <secret key>'")
    return JSONResponse(JWKS)


def _clerk_error(status: int, message: str) -> dict[str, Any]:
    code = {401: "authorization_header_format_invalid", 404: "resource_not_found"}.get(status, "bad_request")
    return {"errors": [{"message": message, "long_message": message, "code": code}]}
