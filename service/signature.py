"""WAHA's signature: a lowercase hex HMAC over the raw body, in X-Webhook-Hmac."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from service.rejected import InvalidSignature, Unauthorized

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lowercase, repeated ones repeated."""

_HEX = re.compile(rb"[0-9a-f]+")
_ALGORITHM_OF_LENGTH = {128: b"sha512", 64: b"sha256"}


def header_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the header *name* (lowercase)."""
    return [value for key, value in headers if key == name]


def verify(body: bytes, headers: Headers, secret: bytes) -> None:
    """Return if *headers* carry exactly one valid signature of *body*.

    Raises:
        Unauthorized: there is no signature.
        InvalidSignature: there is one, and it is repeated, malformed or wrong.
    """
    signatures = header_values(headers, b"x-webhook-hmac")
    if not signatures:
        raise Unauthorized("X-Webhook-Hmac is missing")
    if len(signatures) > 1:
        raise InvalidSignature("X-Webhook-Hmac must come once")
    (signature,) = signatures
    algorithm = _algorithm(signature, header_values(headers, b"x-webhook-hmac-algorithm"))
    expected = hmac.digest(secret, body, algorithm).hex().encode()
    if not hmac.compare_digest(expected, signature):
        raise InvalidSignature("X-Webhook-Hmac does not fit the body")


def _algorithm(signature: bytes, named: list[bytes]) -> str:
    """The digest that *signature* must be of, by its length; the algorithm header, if given, must agree."""
    algorithm = _ALGORITHM_OF_LENGTH.get(len(signature)) if _HEX.fullmatch(signature) else None
    if algorithm is None or named not in ([], [algorithm]):
        raise InvalidSignature("X-Webhook-Hmac must be lowercase hex of a sha512 or sha256 HMAC")
    return algorithm.decode()
