"""`POST /api/webhooks/whatsapp`: the way of every message into the service.

A webhook that arrives whole comes straight from the connection (`direct.py`), any other through ASGI. Both
end in `Webhook.take`, which holds all that decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

import orjson
from starlette.types import Receive, Scope, Send

from service.event import Message, Unwanted, parse_event, session_of
from service.lanes import LaneName
from service.messages.receipts import Receipts
from service.storage.last_seen import LastSeen
from service.storage.store import StoreError
from service.telemetry.alarms import Alarm, Alarms
from service.telemetry.logs import Log, Pseudonyms, Tell
from service.telemetry.metrics import WebMetrics
from service.webhooks.admission import AWAY_RETRY_AFTER_S, Admission, Admitted, Arrival, Verdict
from service.webhooks.blocklist import Blocklist
from service.webhooks.body import ClientGone, read_bounded
from service.webhooks.caller import client_address, lane_name
from service.webhooks.rejected import (
    Blocked,
    Internal,
    Malformed,
    MemoryFull,
    RateLimited,
    Rejected,
    StaleEvent,
    Unauthorized,
    Unavailable,
)
from service.webhooks.signature import Headers, Secrets, headers_of

PATH = "/api/webhooks/whatsapp"

A = TypeVar("A")


@dataclass(frozen=True)
class Limits:
    """Bounds of one webhook. `tolerance_s`: how far its event's time may be from ours."""

    max_body_bytes: int
    body_timeout_s: float
    tolerance_s: float


class Delivery(NamedTuple):
    """One webhook as it came. `peer`: the address of the connection's other end."""

    body: bytes
    headers: Headers
    peer: str
    request_id: str


class Answer(NamedTuple):
    """What the sender is told. `content`: JSON."""

    status: int
    content: bytes
    retry_after_s: int | None = None
    closes: bool = False

    @classmethod
    def to(cls, rejection: Rejected) -> Self:
        """What the sender of a refused request is told."""
        return cls(rejection.status, rejection.content(), rejection.retry_after_s, rejection.closes)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's own headers."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.content))]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % self.retry_after_s))
        if self.closes:
            headers.append((b"connection", b"close"))
        return headers


@dataclass(frozen=True)
class Webhook:
    """The endpoint. `admissions`: one a lane, the gate's being that of this process's release."""

    secrets: Secrets
    limits: Limits
    admissions: Mapping[LaneName, Admission]
    blocklist: Blocklist
    sessions: LastSeen
    tenants: LastSeen
    receipts: Receipts
    trust_proxy: bool
    pseudonyms: Pseudonyms
    metrics: WebMetrics
    alarms: Alarms
    tell: Tell
    log: Log
    _background: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def take(self, delivery: Delivery, answer: Callable[[Answer], None]) -> None:
        """Answer a webhook: *answer* is called once, now or later. An error of ours is an answer too."""
        decided = self._guarded(delivery, lambda: self._take(delivery, answer))
        if decided:
            answer(decided)

    def _take(self, delivery: Delivery, answer: Callable[[Answer], None]) -> Answer | None:
        """The request path: verify, understand, admit once. None: *answer* is called later."""
        lane, received_ms = lane_name(delivery.headers), time.time_ns() // 1_000_000
        self._tell(delivery, lane, "received", {"bytes": len(delivery.body)})
        try:
            address = self._let_in(delivery, lane)
            message = self._verified(delivery, received_ms)
        except Rejected as rejection:
            return self._refuse(delivery, lane, rejection)
        if lane is LaneName.LIVE:
            self._note_signs_of_life(delivery.body, message, received_ms)
        unwanted = Unwanted.NOT_A_MESSAGE if message is None else message.unwanted
        if message and unwanted is Unwanted.FROM_ME and lane is LaneName.LIVE:
            self._in_background(self._note_receipt(delivery, lane, message, answer))
            return None
        if message is None or unwanted:
            return self._ignore(delivery, lane, unwanted or Unwanted.NOT_A_MESSAGE)
        arrival = self._arrival(delivery, message, address, received_ms)

        def settle(verdict: Verdict) -> None:
            answer(
                self._guarded(delivery, lambda: self._settle(delivery, lane, message, arrival.chat, verdict))
            )

        self.admissions[lane].admit(arrival, settle)
        return None

    def _guarded(self, delivery: Delivery, decide: Callable[[], A]) -> A | Answer:
        """What *decide* gives, or the answer to an error of ours."""
        try:
            return decide()
        except Exception as error:
            return self.fail(delivery, error)

    def fail(self, delivery: Delivery, error: Exception) -> Answer:
        """The answer to an error of ours, which is logged, told to Sentry and counted here."""
        internal = Internal()
        self.metrics.count_webhook(internal.code, lane_name(delivery.headers))
        self.log.error("Request failed", requestId=delivery.request_id, exc_info=error)
        self.alarms.report_error("Request failed", error)
        return Answer.to(internal)

    def _let_in(self, delivery: Delivery, lane: LaneName) -> str:
        """The address of whoever sent it, if it is not blocked.

        In the gate's lane none is: who blocks a whole network must not refuse every release, and a rollback.
        """
        address = self._address(delivery)
        if lane is LaneName.LIVE and self.blocklist.blocks(address):
            raise Blocked("this address is blocked")
        return address

    def _address(self, delivery: Delivery) -> str:
        return client_address(delivery.headers, delivery.peer, trust_proxy=self.trust_proxy)

    def _verified(self, delivery: Delivery, now_ms: int) -> Message | None:
        """The message, if whoever sent it has our secret and sent it now; None if the event is no message."""
        position = self.secrets.verify(delivery.body, delivery.headers)
        self.metrics.count_signature(position)
        message = parse_event(delivery.body)
        if message and message.event_ms is not None:
            age_s = (now_ms - message.event_ms) / 1000
            if abs(age_s) > self.limits.tolerance_s:
                raise StaleEvent(f"the event's time is {age_s:.0f} s away from ours")
        return message

    def _note_signs_of_life(self, body: bytes, message: Message | None, now_ms: int) -> None:
        """Any event shows that its session works; a tenant is active by messages alone."""
        session = message.session if message else session_of(body)
        if session:
            self.sessions.note(session, now_ms)
        if message:
            self.tenants.note(message.tenant, now_ms)

    def _arrival(self, delivery: Delivery, message: Message, address: str, received_ms: int) -> Arrival:
        return Arrival(
            body=delivery.body,
            identity=message.identity,
            # Of the session too: one that is stopped must not hold up another's chat with the same person.
            chat=self.pseudonyms.of(f"{message.session}\0{message.chat_id}"),
            address=address,
            request_id=delivery.request_id,
            received_ms=received_ms,
        )

    async def _note_receipt(
        self, delivery: Delivery, lane: LaneName, message: Message, answer: Callable[[Answer], None]
    ) -> None:
        """Keep our own message as the proof that it was sent; without Redis it must be told again."""
        try:
            await self.receipts.note(message)
        except StoreError:
            rejection = Unavailable("the queue cannot be reached", retry_after_s=AWAY_RETRY_AFTER_S)
            answer(self._guarded(delivery, lambda: self._refuse(delivery, lane, rejection)))
        except Exception as error:
            answer(self.fail(delivery, error))
        else:
            answer(self._guarded(delivery, lambda: self._ignore(delivery, lane, Unwanted.FROM_ME)))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _ignore(self, delivery: Delivery, lane: LaneName, unwanted: Unwanted) -> Answer:
        reason = str(unwanted)
        self.metrics.count_webhook("ignored", lane)
        self._tell(delivery, lane, "verified", {"outcome": "ignored", "reason": reason})
        return Answer(200, orjson.dumps({"status": "ignored", "reason": reason}))

    def _settle(
        self, delivery: Delivery, lane: LaneName, message: Message, chat: str, verdict: Verdict
    ) -> Answer:
        """The answer to a message that was offered to its lane."""
        if isinstance(verdict, Rejected):
            return self._refuse(delivery, lane, verdict)
        status = str(verdict)  # Enum's own `value` costs more than all else here
        self.metrics.count_webhook(status, lane)
        self._tell(delivery, lane, "verified", {"outcome": status, "chat": chat})
        content = orjson.dumps({"status": status, "messageId": message.payload_id})
        return Answer(202 if verdict is Admitted.ACCEPTED else 200, content)

    def _refuse(self, delivery: Delivery, lane: LaneName, rejection: Rejected) -> Answer:
        """One line in the runbook's words, where what concerns security says so; and the answer."""
        self.metrics.count_webhook(rejection.code, lane)
        msg, fields = _wording(rejection)
        if (alarm := _alarm(rejection)) is not None:
            self.alarms.raise_alarm(alarm, code=rejection.code)
        self.log.warning(
            msg,
            webhook=True,
            _event="failed",
            requestId=delivery.request_id,
            lane=lane.value,
            ip=self._address(delivery),
            reason=rejection.message,
            **fields,
        )
        return Answer.to(rejection)

    def _tell(self, delivery: Delivery, lane: LaneName, event: str, fields: dict[str, object]) -> None:
        self.tell(
            {
                "msg": f"Webhook {event}",
                "webhook": True,
                "event": event,
                "requestId": delivery.request_id,
                "lane": str(lane),
                **fields,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a webhook that comes through ASGI: it is long, in pieces, or its client is an unusual one."""
        peer = scope["client"][0] if scope.get("client") else "unknown"
        delivery = Delivery(b"", headers_of(scope["headers"]), peer, scope["request_id"])
        lane = lane_name(delivery.headers)
        try:
            body = await read_bounded(
                receive, max_bytes=self.limits.max_body_bytes, timeout_s=self.limits.body_timeout_s
            )
        except Rejected as rejection:
            answer = self._refuse(delivery, lane, rejection)
        except ClientGone:
            self.metrics.count_webhook("disconnected", lane)
            return
        else:
            answer = await self._taken(delivery._replace(body=body))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers()})
        await send({"type": "http.response.body", "body": answer.content})

    async def _taken(self, delivery: Delivery) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answer(it: Answer) -> None:
            if not answered.done():  # cancelled at the end of a drain: nobody waits any more
                answered.set_result(it)

        self.take(delivery, answer)
        return await answered


def _wording(rejection: Rejected) -> tuple[str, dict[str, object]]:
    if isinstance(rejection, Unauthorized):
        return "Invalid webhook signature", {"security": True, "action": rejection.code}
    if isinstance(rejection, RateLimited):
        return "Rate limit exceeded for IP", {"security": True, "action": "rate_limit"}
    if isinstance(rejection, Blocked):
        return "Webhook from a blocked address", {"security": True, "action": rejection.code}
    return "Webhook refused", {"code": rejection.code}


def _alarm(rejection: Rejected) -> Alarm | None:
    """What a person should hear of it, if anything."""
    if isinstance(rejection, Unauthorized):
        return Alarm.SIGNATURE_FAILURES
    if isinstance(rejection, RateLimited):
        return Alarm.RATE_LIMITED
    if isinstance(rejection, MemoryFull):
        return Alarm.MEMORY_FULL
    return Alarm.INVALID_PAYLOAD if isinstance(rejection, Malformed) else None
