"""`POST /api/webhooks/whatsapp`: the way of every message into the service."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from service.admission import Admission, Admitted, Arrival
from service.body import ClientGone, read_bounded
from service.caller import client_address, lane_name
from service.event import Message, Unwanted, parse_event
from service.lanes import LIVE, Lane, LaneName
from service.logs import Log, Pseudonyms
from service.metrics import WebMetrics
from service.rejected import RateLimited, Rejected, Unauthorized
from service.signature import verify


@dataclass(frozen=True)
class Limits:
    """Bounds of one webhook."""

    max_body_bytes: int
    body_timeout_s: float


@dataclass(frozen=True)
class Webhook:
    """The endpoint, as an ASGI application. `gate` is the lane of this process's release."""

    secret: bytes
    limits: Limits
    admission: Admission
    gate: Lane
    trust_proxy: bool
    pseudonyms: Pseudonyms
    metrics: WebMetrics
    log: Log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one webhook and answer it; refusals are logged, counted and left to the app's handler."""
        lane = self.gate if lane_name(scope) is LaneName.GATE else LIVE
        try:
            outcome, answer = await self._take(scope, receive, lane)
        except Rejected as rejection:
            self._count(rejection.code, lane)
            self._log_rejection(scope, rejection, lane)
            raise
        except ClientGone:
            self._count("disconnected", lane)
            return
        self._count(outcome, lane)
        await answer(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, lane: Lane) -> tuple[str, Response]:
        """The request path: read (bounded), verify, understand, admit once, answer."""
        headers, received_ms = scope["headers"], time.time_ns() // 1_000_000
        limits = self.limits
        body = await read_bounded(receive, max_bytes=limits.max_body_bytes, timeout_s=limits.body_timeout_s)
        self._line(scope, lane, "Webhook received", "received", bytes=len(body))
        verify(body, headers, self.secret)
        message = parse_event(body)
        if isinstance(message, Unwanted):
            self._line(scope, lane, "Webhook verified", "verified", outcome="ignored", reason=message.value)
            return "ignored", JSONResponse({"status": "ignored", "reason": message.value})
        arrival = self._arrival(scope, body, message, received_ms)
        admitted = await self.admission.admit(arrival, lane)
        self._line(scope, lane, "Webhook verified", "verified", outcome=admitted.value, chat=arrival.chat)
        return admitted.value, _answer(admitted, message)

    def _arrival(self, scope: Scope, body: bytes, message: Message, received_ms: int) -> Arrival:
        return Arrival(
            body=body,
            identity=message.identity,
            chat=self.pseudonyms.of(message.chat_id),
            address=client_address(scope, trust_proxy=self.trust_proxy),
            request_id=scope["request_id"],
            received_ms=received_ms,
        )

    def _count(self, outcome: str, lane: Lane) -> None:
        self.metrics.webhooks.labels(outcome, lane.name.value).inc()

    def _line(self, scope: Scope, lane: Lane, msg: str, event: str, **fields: object) -> None:
        self.log.info(
            msg, webhook=True, _event=event, requestId=scope["request_id"], lane=lane.name.value, **fields
        )

    def _log_rejection(self, scope: Scope, rejection: Rejected, lane: Lane) -> None:
        """One line in the runbook's words; what concerns security says so."""
        fields = {
            "webhook": True,
            "_event": "failed",
            "requestId": scope["request_id"],
            "lane": lane.name.value,
            "ip": client_address(scope, trust_proxy=self.trust_proxy),
            "reason": rejection.message,
        }
        if isinstance(rejection, Unauthorized):
            self.log.warning("Invalid webhook signature", security=True, action=rejection.code, **fields)
        elif isinstance(rejection, RateLimited):
            self.log.warning("Rate limit exceeded for IP", security=True, action="rate_limit", **fields)
        else:
            self.log.warning("Webhook refused", code=rejection.code, **fields)


def _answer(admitted: Admitted, message: Message) -> Response:
    if admitted is Admitted.DUPLICATE:
        return JSONResponse({"status": "duplicate", "messageId": message.payload_id})
    return JSONResponse({"status": "accepted", "messageId": message.payload_id}, status_code=202)
