"""WAHA's signature: a lowercase hex HMAC over the raw body, in X-Webhook-Hmac."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from service.rejected import InvalidSignature, Unauthorized

Headers = Mapping[bytes, bytes]
"""A request's headers: names in lowercase; what came repeatedly is joined by `, `, as HTTP has it."""

_HEX = re.compile(rb"[0-9a-f]+")
_ALGORITHM_OF_LENGTH = {128: b"sha512", 64: b"sha256"}


def headers_of(fields: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers of an ASGI scope."""
    headers = dict(fields)
    if len(headers) < len(fields):
        for name in headers:
            headers[name] = b", ".join(value for key, value in fields if key == name)
    return headers


def verify(body: bytes, headers: Headers, secrets: Sequence[bytes]) -> int:
    """Which of *secrets* the one signature in *headers* was made with: its position.

    WAHA names no key, so while a secret is being rotated each active one is tried.

    Raises:
        Unauthorized: there is no signature.
        InvalidSignature: there is one, and it is malformed, wrong, or one of several.
    """
    signature = headers.get(b"x-webhook-hmac")
    if signature is None:
        raise Unauthorized("X-Webhook-Hmac is missing")
    algorithm = _algorithm(signature, headers.get(b"x-webhook-hmac-algorithm"))
    for position, secret in enumerate(secrets):
        if hmac.compare_digest(hmac.digest(secret, body, algorithm).hex().encode(), signature):
            return position
    raise InvalidSignature("X-Webhook-Hmac does not fit the body")


def _algorithm(signature: bytes, named: bytes | None) -> str:
    """The digest that *signature* must be of, by its length; the algorithm header, if given, must agree."""
    algorithm = _ALGORITHM_OF_LENGTH.get(len(signature)) if _HEX.fullmatch(signature) else None
    if algorithm is None or named not in (None, algorithm):
        raise InvalidSignature("X-Webhook-Hmac must be lowercase hex of a sha512 or sha256 HMAC")
    return algorithm.decode()
