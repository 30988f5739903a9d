"""WAHA's signature: a lowercase hex HMAC over the raw body, in X-Webhook-Hmac."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from service.webhooks.rejected import InvalidSignature, Unauthorized

Headers = Mapping[bytes, bytes]
"""A request's headers: names in lowercase; what came repeatedly is joined by `, `, as HTTP has it."""

_ALGORITHM_OF_LENGTH = {128: b"sha512", 64: b"sha256"}


def headers_of(fields: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers of an ASGI scope."""
    headers = dict(fields)
    if len(headers) < len(fields):
        for name in headers:
            headers[name] = b", ".join(value for key, value in fields if key == name)
    return headers


class Secrets:
    """The secrets that a webhook may be signed with.

    WAHA names no key, so while one is being rotated each is tried. What a digest has to do with the key alone
    is done once, here.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """*secrets*, the current one first."""
        self._begun = {
            length: [hmac.new(secret, digestmod=algorithm.decode()) for secret in secrets]
            for length, algorithm in _ALGORITHM_OF_LENGTH.items()
        }

    def verify(self, body: bytes, headers: Headers) -> int:
        """Which secret the one signature in *headers* was made with: its position.

        Raises:
            Unauthorized: there is no signature.
            InvalidSignature: there is one, and it is malformed, wrong, or one of several.
        """
        signature = headers.get(b"x-webhook-hmac")
        if signature is None:
            raise Unauthorized("X-Webhook-Hmac is missing")
        for position, begun in enumerate(self._begun.get(_length(signature, headers), ())):
            digest = begun.copy()
            digest.update(body)
            if hmac.compare_digest(digest.hexdigest().encode(), signature):
                return position
        if not re.fullmatch(rb"[0-9a-f]+", signature):
            raise InvalidSignature("X-Webhook-Hmac must be lowercase hex of a sha512 or sha256 HMAC")
        raise InvalidSignature("X-Webhook-Hmac does not fit the body")


def _length(signature: bytes, headers: Headers) -> int:
    """The signature's length, which tells its algorithm; the algorithm header, if given, must agree."""
    algorithm = _ALGORITHM_OF_LENGTH.get(len(signature))
    if algorithm is None or headers.get(b"x-webhook-hmac-algorithm", algorithm) != algorithm:
        raise InvalidSignature("X-Webhook-Hmac must be lowercase hex of a sha512 or sha256 HMAC")
    return len(signature)
