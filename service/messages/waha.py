"""WAHA's HTTP API. It has no idempotency key: an attempt that got no answer must not be repeated.

Its 500 answers echo the request with the message's text, so of an answer only the status is looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from service.event import Message
from service.messages.messenger import NotSent, OutcomeUnknown
from service.messages.outbound import CallOutcome, Operation, OutboundMetrics, Peer
from service.messages.replies import Reply
from service.telemetry.alarms import Alarm, Alarms

CONNECT_TIMEOUT_S = 5.0
MANNERS_TIMEOUT_S = 2.0

MANNERS_REST_S = 5.0
"""For so long after one of them got no answer, manners are left out: a dead WAHA must not cost their timeout
for every message."""

KEEP_IDLE_S = 2.0
"""Shorter than Node's 5 s: a connection that WAHA closes while we send on it leaves the outcome unknown."""

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""No byte of the request was sent."""


def waha_session(url: str, api_key: str, *, connect_timeout_s: float) -> aiohttp.ClientSession:
    """Connections to the WAHA at *url*. Within a running loop only; whoever calls this closes it."""
    return aiohttp.ClientSession(
        base_url=f"{url}/",
        headers={"Content-Type": "application/json"} | ({"X-Api-Key": api_key} if api_key else {}),
        # The calls have timeouts of their own; that of the connection must be told apart.
        timeout=aiohttp.ClientTimeout(total=None, connect=min(connect_timeout_s, CONNECT_TIMEOUT_S)),
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_IDLE_S),  # the worker bounds them
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Waha:
    """See `Messenger`. *is_polite*: whether to show what was seen and that a reply is being written."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        timeout_s: float,
        is_polite: bool,
        metrics: OutboundMetrics,
        alarms: Alarms,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._timeout_s = timeout_s
        self._is_polite = is_polite
        self._metrics = metrics
        self._alarms = alarms
        self._clock = clock
        self._polite_again_at = 0.0

    async def begin(self, message: Message) -> None:
        """See `Messenger.begin`."""
        await self._behave(Operation.SEND_SEEN, message, {"messageIds": [message.payload_id]})
        await self._behave(Operation.START_TYPING, message)

    async def finish(self, message: Message) -> None:
        """See `Messenger.finish`."""
        await self._behave(Operation.STOP_TYPING, message)

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        content = {
            "session": reply.session,
            "chatId": reply.chat_id,
            "text": reply.text,
            "reply_to": reply.reply_to,
        }
        try:
            status = await self._post(Operation.SEND_TEXT, content, self._timeout_s)
        except _NOT_CONNECTED as error:
            self._alarms.raise_alarm(Alarm.WAHA_UNREACHABLE, error=type(error).__name__)
            raise NotSent(f"WAHA could not be reached: {type(error).__name__}") from error
        except Exception as error:  # part of the request may be with WAHA, whatever it was
            raise OutcomeUnknown(f"WAHA did not answer: {type(error).__name__}") from error
        _judge(status)

    async def _behave(
        self, operation: Operation, message: Message, more: dict[str, Any] | None = None
    ) -> None:
        """One of the manners, unless one of them got no answer a moment ago."""
        if not self._is_polite or self._clock() < self._polite_again_at:
            return
        content = {"session": message.session, "chatId": message.chat_id, **(more or {})}
        try:
            await self._post(operation, content, MANNERS_TIMEOUT_S)
        except Exception:  # counted with its outcome; whatever it is, the reply matters more
            self._polite_again_at = self._clock() + MANNERS_REST_S

    async def _post(self, operation: Operation, content: dict[str, Any], timeout_s: float) -> int:
        """The status of WAHA's answer; raises whatever came instead of it."""
        started, outcome = time.perf_counter(), CallOutcome.UNANSWERED
        try:
            async with (
                asyncio.timeout(timeout_s),  # of the whole: an answer that trickles would hold the chat
                self._http.post(
                    f"api/{operation.value}", data=orjson.dumps(content), allow_redirects=False
                ) as response,
            ):
                outcome = CallOutcome.OK if _is_success(response.status) else CallOutcome.REFUSED
                return response.status
        except _NOT_CONNECTED:
            outcome = CallOutcome.UNREACHABLE
            raise
        finally:
            self._metrics.observe(Peer.WAHA, operation, outcome, time.perf_counter() - started)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _judge(status: int) -> None:
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        raise OutcomeUnknown("a gateway before WAHA got no answer: HTTP 504")
    if not _is_success(status):
        raise NotSent(f"WAHA refused: HTTP {status}")
