"""How the reference target verifies a webhook."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from reference_flaws import Flaws


def is_signed(body: bytes, headers: Mapping[str, str], secret: str, flaws: Flaws) -> bool:
    """Whether a webhook proves *secret* over its bytes, or the target believes so."""
    given = headers.get("X-Webhook-Hmac", "")
    if flaws.accepts_any_signature:
        return True
    if flaws.fails_on_odd_signatures:
        bytes.fromhex(given)
    algorithm = headers.get("X-Webhook-Hmac-Algorithm", "")
    if flaws.ignores_the_algorithm:
        algorithm = "sha256" if len(given) == 64 else "sha512"
    allowed = ("sha512",) if flaws.takes_only_sha512 else ("sha512", "sha256")
    if algorithm not in (("md5", "sha1", *allowed) if flaws.accepts_weak_algorithms else allowed):
        return False
    expected = hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()
    if flaws.accepts_truncated_signatures and given:
        expected = expected[: len(given)]
    return hmac.compare_digest(expected.encode(), given.encode())
