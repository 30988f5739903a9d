"""Requests that are refused, each with the answer it gets. One handler in `web.py` turns them into responses.

Rejected
├── Malformed          400  the request is not what it claims to be
├── Unauthorized       401  no signature
│   ├── InvalidSignature    a signature, and a wrong one
│   └── StaleEvent          a right one, on an event from another time
├── Blocked            403  the caller's address is on the blocklist
├── NotFound           404
├── BodyTimeout        408  the body came too slowly
├── TooLarge           413
├── RateLimited        429
├── Internal           500  an error of ours
└── Unavailable        503  the queue cannot be reached
    ├── QueueFull           as many messages wait as may wait
    ├── MemoryFull          Redis has no memory for more messages
    └── NotReady            this process is draining, or Redis is away
"""

from __future__ import annotations

from typing import ClassVar

import orjson


class Rejected(Exception):
    """A request that is answered by *status*, *code* and *message*; `retry_after_s` becomes Retry-After."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "rejected"
    closes: ClassVar[bool] = False
    """Whether the connection ends with the answer, because the rest of the body is not wanted."""

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s

    def content(self) -> bytes:
        """The answer's body, as JSON."""
        return error_content(self.code, self.message)


def error_content(code: str, message: str) -> bytes:
    """The body of every answer that tells of an error."""
    return orjson.dumps({"error": {"code": code, "message": message}})


class Malformed(Rejected):
    """The request's parts or its event do not have the shape they must have."""

    status = 400
    code = "malformed"


class Unauthorized(Rejected):
    """No signature was given."""

    status = 401
    code = "unauthorized"


class InvalidSignature(Unauthorized):
    """A signature was given that is malformed or does not fit the body."""

    code = "invalid_signature"


class StaleEvent(Unauthorized):
    """The signature is right, and the event's time is further from ours than the sender's retries reach."""

    code = "stale_event"


class Blocked(Rejected):
    """The caller's address is on the blocklist."""

    status = 403
    code = "blocked"


class NotFound(Rejected):
    """There is nothing here for this caller."""

    status = 404
    code = "not_found"


class BodyTimeout(Rejected):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"
    closes = True


class TooLarge(Rejected):
    """The body is longer than the limit, whatever its Content-Length says."""

    status = 413
    code = "too_large"
    closes = True


class RateLimited(Rejected):
    """The caller's address has used up its share of this minute."""

    status = 429
    code = "rate_limited"


class Internal(Rejected):
    """An exception that nobody foresaw. The answer says nothing of it, the log has its type and place."""

    status = 500
    code = "internal"

    def __init__(self) -> None:
        super().__init__("the request failed; its id is in X-Request-Id")


class Unavailable(Rejected):
    """Redis did not take the message in time; whether it has it is unknown, so the sender must ask again."""

    status = 503
    code = "unavailable"


class QueueFull(Unavailable):
    """As many messages wait as may wait."""

    code = "queue_full"


class MemoryFull(Unavailable):
    """Redis has no memory for more messages, however few wait."""

    code = "memory"


class NotReady(Unavailable):
    """This process should get no new requests now."""

    code = "not_ready"
