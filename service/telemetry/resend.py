"""Mail through Resend's API. Its idempotency keys make repeating safe: what it took is not sent again."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx
import stamina

from service.telemetry.logs import Log
from service.telemetry.mail import Mail

TIMEOUT_S = 10.0
"""For one mail, waiting and repeating included."""

ATTEMPTS = 4
ATTEMPT_S = 4.0

EVERY_S = 0.5
"""Resend takes two requests a second."""

LONGEST_WAIT_S = 5.0
"""A Retry-After beyond it is left to the caller's next time."""

LONGEST_KEY = 256

_CODE = re.compile(r"[a-z_]{1,64}")


class NotTaken(Exception):
    """Resend did not take a mail.

    `code`: its word for why; `again_in_s`: when to try again, 0 if it does not say, None: not now.
    """

    def __init__(self, status: int, code: str, again_in_s: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.code = code
        self.again_in_s = again_in_s


class Unreachable(Exception):
    """No answer came; Resend may have the mail."""


class Resend:
    """See `Mailer`."""

    def __init__(self, client: httpx.AsyncClient, *, sender: str, log: Log) -> None:
        """*client* has the API's base URL and key; its timeout bounds each attempt."""
        self._client = client
        self._sender = sender
        self._log = log
        self._pace = Pace(EVERY_S)

    async def send(self, mail: Mail) -> bool:
        """See `Mailer.send`."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._send_surely(mail)
        except NotTaken as error:
            self._log.error("Mail was not sent", reason=str(error), code=error.code)
        except Exception as error:  # whatever it is: nobody's message waits for a notice
            self._log.error("Mail was not sent", exc_info=error)
        else:
            self._log.info("Mail sent")
            return True
        return False

    async def _send_surely(self, mail: Mail) -> None:
        async for attempt in stamina.retry_context(
            on=_again, attempts=ATTEMPTS, timeout=TIMEOUT_S, wait_initial=EVERY_S
        ):
            with attempt:
                await self._pace.turn()
                await self._send_once(mail)

    async def _send_once(self, mail: Mail) -> None:
        content = {"from": self._sender, "to": [mail.to], "subject": mail.subject, "text": mail.text}
        headers = {"Idempotency-Key": header_key(mail.idempotency_key)}
        try:
            response = await self._client.post("/emails", json=content, headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(type(error).__name__) from None  # whose text may quote the request
        if not response.is_success:
            raise refusal(response)


class Pace:
    """Spaces turns out."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._next_at = 0.0

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        now = self._clock()
        turn_at = max(now, self._next_at)
        self._next_at = turn_at + self._every_s
        await asyncio.sleep(turn_at - now)


def header_key(key: str) -> str:
    """*key* as a header can carry it: ASCII, and no longer than Resend allows."""
    quoted = quote(key, safe="/@:+=,-._~")
    return quoted if len(quoted) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def refusal(response: httpx.Response) -> NotTaken:
    """What Resend's answer means: 429 and 5xx pass, all else will be the same the next time."""
    passes = response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error
    pause_s = _retry_after_s(response) if passes else None
    return NotTaken(response.status_code, _code(response), pause_s)


def _code(response: httpx.Response) -> str:
    """Resend's own name for the error, if there is one that can be shown."""
    try:
        name = response.json()["name"]
    except (ValueError, KeyError, TypeError):
        return "unknown"
    return name if isinstance(name, str) and _CODE.fullmatch(name) else "unknown"


def _retry_after_s(response: httpx.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    pause_s = float(told) if re.fullmatch(r"[0-9]{1,9}", told) else 0.0
    return pause_s if pause_s <= LONGEST_WAIT_S else None


def _again(error: Exception) -> bool | float:
    """Whether to repeat; a number: after so many seconds, instead of stamina's own pause."""
    if isinstance(error, NotTaken):
        return False if error.again_in_s is None else error.again_in_s or True
    return isinstance(error, Unreachable)
