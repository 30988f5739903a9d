"""Resend: one verified domain, and e-mails that are kept instead of sent, once per idempotency key."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import OrderedDict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, bearer_token, in_shape, read_object
from sandbox.kept import Kept

MAX_KEY_CHARS = 256
KEPT_KEYS = 10_000
DOMAIN = {
    "id": "d91cd9bd-1176-453e-8fc1-35364d380206",
    "name": "sandbox.example",
    "status": "verified",
    "created_at": "2026-01-01T00:00:00.000Z",
    "region": "eu-west-1",
}
_NAMES = {401: "missing_api_key", 404: "not_found", 405: "method_not_allowed", 422: "missing_required_field"}


class Accepted:
    """E-mails by idempotency key, bounded: the same key with the same content is the same e-mail."""

    def __init__(self, sent: Kept) -> None:
        self._sent = sent
        self._by_key: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def take(self, key: str | None, email: dict[str, Any]) -> str:
        """The e-mail's id: the first one's if *key* was seen.

        Raises:
            RefusedError: 400 for an impossible key, 409 if *key* came with another e-mail.
        """
        if key is None:
            return self._send(str(uuid.uuid4()), None, email)
        if not 1 <= len(key) <= MAX_KEY_CHARS:
            raise _named(400, "invalid_idempotency_key", f"The key must be between 1-{MAX_KEY_CHARS} chars.")
        digest = hashlib.sha256(json.dumps(email, sort_keys=True).encode()).hexdigest()
        if key not in self._by_key:
            self._by_key[key] = (digest, self._send(str(uuid.uuid4()), key, email))
        first_digest, email_id = self._by_key[key]
        if first_digest != digest:
            message = "Same idempotency key used with a different request payload."
            raise _named(409, "invalid_idempotent_request", message)
        if len(self._by_key) > KEPT_KEYS:
            self._by_key.popitem(last=False)
        return email_id

    def _send(self, email_id: str, key: str | None, email: dict[str, Any]) -> str:
        self._sent.add({"id": email_id, "idempotencyKey": key, **email})
        return email_id


def resend_app(sent: Kept) -> Starlette:
    """`/domains` and `/emails`, wanting a bearer token; each e-mail is kept in *sent* once."""
    accepted = Accepted(sent)

    async def send_email(request: Request) -> Response:
        _require_key(request)
        email = await read_object(request)
        missing = [field for field in ("from", "to", "subject") if not email.get(field)]
        if missing:
            raise RefusedError(422, f"Missing `{missing[0]}` field.")
        return JSONResponse({"id": accepted.take(request.headers.get("Idempotency-Key"), email)})

    routes = [Route("/domains", _domains, methods=["GET"]), Route("/emails", send_email, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers=in_shape(_resend_error))


async def _domains(request: Request) -> Response:
    _require_key(request)
    return JSONResponse({"object": "list", "has_more": False, "data": [DOMAIN]})


def _require_key(request: Request) -> None:
    if not bearer_token(request):
        raise RefusedError(401, "Missing API key in the authorization header.")


def _named(status: int, name: str, message: str) -> RefusedError:
    return RefusedError(status, message, {"statusCode": status, "name": name, "message": message})


def _resend_error(status: int, message: str) -> dict[str, Any]:
    return {"statusCode": status, "name": _NAMES.get(status, "validation_error"), "message": message}
