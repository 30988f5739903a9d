"""WAHA's HTTP API. It has no idempotency key: an attempt that may have been done must not be repeated.

Surely not sent is only what was refused before an engine heard of it:

    no connection               no byte left us
    3xx                         what stands before WAHA did not hand the request on
    400, 405, 413, 414, 415     the request's form; checked first of all
    401, 403, 404               the key, the path, the session
    422                         the session does not work; WAHA looks before it sends
    429                         a limit before WAHA

All else leaves the outcome unknown. A 500 is any exception, one after the message left too; what a proxy
means by 502 to 504 nobody knows. Of a 422 or 500 one thing is looked at, what it says went wrong: the answer
echoes the request with the message's text besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
import orjson

from service.event import Message
from service.messages.messenger import NotSent, OutcomeUnknown, SendDeferred, SendRefused
from service.messages.outbound import CallOutcome, Operation, OutboundMetrics, Peer
from service.messages.replies import Reply
from service.response_body import read_body
from service.telemetry.alarms import Alarm, Alarms

CONNECT_TIMEOUT_S = 5.0
MANNERS_TIMEOUT_S = 2.0

MANNERS_REST_S = 5.0
"""For so long after one of them got no answer, manners are left out: a dead WAHA must not cost their timeout
for every message."""

STOPPED_REST_S = 2.0
"""For so long after WAHA said that a session does not work it is not asked for that session again: saying so
takes it up to 5 s, and the messages of one session must not fill the slots of all."""

MAX_SILENCES = 3
"""So many sends of one session without an answer, one after another, and it counts as one that does not work:
each holds a slot for the whole timeout."""

KEEP_IDLE_S = 2.0
"""Shorter than Node's 5 s: a connection that WAHA closes while we send on it leaves the outcome unknown."""

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""No byte of the request was sent."""

_REFUSED = frozenset({*range(300, 400), 400, 401, 403, 404, 405, 413, 414, 415})
"""The request or its key is wrong."""

_NOT_NOW = frozenset({422, 429})

_MAY_BE_THE_QUOTE = frozenset({400, 404, 422})
"""Refusals that may concern the message quoted: without the quote the text may go out."""

_NO_SUCH_QUOTE = re.compile(
    r"could not get the quoted message|quoted (message|msg) .{0,200}not found"
    r"|invalid quotedmsg|quotedmsg can not reply",
    re.I,
)
"""What engines say, before they send, where they do not find the message that is to be quoted, or cannot."""

_SESSION_STOPPED = re.compile(r"session status", re.I)
"""What WAHA's 422 says where the session does not work."""

MAX_ERROR_BYTES = 64 * 1024
"""Of the body of a refusal, which may echo our request."""

ERROR_TIMEOUT_S = 1.0
"""For that body: what the status says holds without it."""


class _Answered(NamedTuple):
    """WAHA's answer. `error`: what it says went wrong with a 422, or the engine with a 500; else empty."""

    status: int
    error: str

    @property
    def is_of_a_stopped_session(self) -> bool:
        return self.status == HTTPStatus.UNPROCESSABLE_ENTITY and bool(_SESSION_STOPPED.search(self.error))

    def may_be_of_the_quote(self, reply_to: str) -> bool:
        if self.status in _MAY_BE_THE_QUOTE:
            return not self.is_of_a_stopped_session
        # WPP names the message without a word of a quote; of another one it says nothing about the sending.
        is_lost = f"Message {reply_to} not found" in self.error
        return is_lost or bool(_NO_SUCH_QUOTE.search(self.error))


class _Stopped(NamedTuple):
    """A session that did not work: until when only the message `tried_by` is sent for it.

    `refusal`: what the others hear; where WAHA was silent nobody knows whether the session is to blame.
    """

    until_s: float
    tried_by: str = ""
    refusal: type[NotSent] = SendDeferred


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
    """See `Messenger`. *is_polite*: whether to show what was seen and that a reply is being written.

    *write_timeout_s*: how long the writing of a reply may take, before it is sent.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        timeout_s: float,
        write_timeout_s: float,
        is_polite: bool,
        metrics: OutboundMetrics,
        alarms: Alarms,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._timeout_s = timeout_s
        self._write_timeout_s = write_timeout_s
        self._is_polite = is_polite
        self._metrics = metrics
        self._alarms = alarms
        self._clock = clock
        self._polite_again_at = 0.0
        self._stopped: dict[str, _Stopped] = {}
        """Sessions that WAHA said do not work, or for which it does not answer."""
        self._silences: dict[str, int] = {}
        """By session, how many sends in a row got no answer in time."""

    def require(self, message: Message, *, is_next: bool = False) -> None:
        """See `Messenger.require`."""
        claim_s = self._write_timeout_s + self._timeout_s if is_next else 0
        self._require_session(message.session, message.payload_id, claim_s)

    async def begin(self, message: Message) -> None:
        """See `Messenger.begin`."""
        await self._behave(Operation.SEND_SEEN, message, {"messageIds": [message.payload_id]})
        await self._behave(Operation.START_TYPING, message)

    async def finish(self, message: Message) -> None:
        """See `Messenger.finish`."""
        await self._behave(Operation.STOP_TYPING, message)

    async def send_text(self, reply: Reply) -> None:
        """See `Messenger.send_text`."""
        content = {"session": reply.session, "chatId": reply.chat_id, "text": reply.text}
        self._require_session(reply.session, reply.reply_to, self._timeout_s)
        try:
            answered = await self._send({**content, "reply_to": reply.reply_to})
            if answered.may_be_of_the_quote(reply.reply_to):
                answered = await self._send(content)
        except OutcomeUnknown as error:
            if isinstance(error.__cause__, TimeoutError):
                self._note_silence(reply.session)
            raise
        self._silences.pop(reply.session, None)
        if answered.is_of_a_stopped_session:
            self._stopped[reply.session] = _Stopped(self._clock() + STOPPED_REST_S)
        else:
            self._stopped.pop(reply.session, None)
        _judge(answered.status)

    def _note_silence(self, session: str) -> None:
        """A send had no answer in time. That one's outcome stays unknown; the next ones are not begun."""
        self._silences[session] = self._silences.get(session, 0) + 1
        if self._silences[session] >= MAX_SILENCES:
            self._stopped[session] = _Stopped(self._clock() + STOPPED_REST_S, refusal=NotSent)

    def _require_session(self, session: str, payload_id: str, claim_s: float) -> None:
        """Refuse what would be sent for a session that did not work a moment ago; after that, let one try.

        For *claim_s* that one is the message *payload_id*.
        """
        stopped = self._stopped.get(session)
        if stopped is None:
            return
        if self._clock() < stopped.until_s and stopped.tried_by != payload_id:
            raise stopped.refusal("not sent: a moment ago the session did not work")
        if claim_s:
            self._stopped[session] = stopped._replace(until_s=self._clock() + claim_s, tried_by=payload_id)

    async def _send(self, content: dict[str, Any]) -> _Answered:
        try:
            return await self._post(Operation.SEND_TEXT, content, self._timeout_s)
        except _NOT_CONNECTED as error:
            self._alarms.raise_alarm(Alarm.WAHA_UNREACHABLE, error=type(error).__name__)
            raise NotSent(f"WAHA could not be reached: {type(error).__name__}") from error
        except Exception as error:  # part of the request may be with WAHA, whatever it was
            raise OutcomeUnknown(f"WAHA did not answer: {type(error).__name__}") from error

    async def _behave(
        self, operation: Operation, message: Message, more: dict[str, Any] | None = None
    ) -> None:
        """One of the manners, unless one of them got no answer a moment ago, or the session does not work."""
        if not self._is_polite or self._clock() < self._polite_again_at:
            return
        if message.session in self._stopped:
            return
        content = {"session": message.session, "chatId": message.chat_id, **(more or {})}
        try:
            await self._post(operation, content, MANNERS_TIMEOUT_S)
        except Exception:  # counted with its outcome; whatever it is, the reply matters more
            self._polite_again_at = self._clock() + MANNERS_REST_S

    async def _post(self, operation: Operation, content: dict[str, Any], timeout_s: float) -> _Answered:
        """WAHA's answer; raises whatever came instead of it."""
        started, outcome = time.perf_counter(), CallOutcome.UNANSWERED
        try:
            async with (
                asyncio.timeout(timeout_s),  # of the whole: an answer that trickles would hold the chat
                self._http.post(
                    f"api/{operation.value}", data=orjson.dumps(content), allow_redirects=False
                ) as response,
            ):
                outcome = CallOutcome.OK if _is_success(response.status) else CallOutcome.REFUSED
                return _Answered(response.status, await _error_of(response))
        except _NOT_CONNECTED:
            outcome = CallOutcome.UNREACHABLE
            raise
        finally:
            self._metrics.observe(Peer.WAHA, operation, outcome, time.perf_counter() - started)


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


async def _error_of(response: aiohttp.ClientResponse) -> str:
    """What an answer says went wrong, where that matters and is said in time."""
    with contextlib.suppress(Exception):
        if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return str(orjson.loads(await _body_of(response))["error"])
        if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return str(orjson.loads(await _body_of(response))["exception"]["message"])
    return ""


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(ERROR_TIMEOUT_S):
        return await read_body(response, MAX_ERROR_BYTES)


def _judge(status: int) -> None:
    """See the module."""
    if status in _REFUSED:
        raise SendRefused(f"WAHA refused: HTTP {status}")
    if status in _NOT_NOW:
        raise SendDeferred(f"WAHA refused: HTTP {status}")
    if not _is_success(status):
        raise OutcomeUnknown(f"WAHA did not say whether it was sent: HTTP {status}")
