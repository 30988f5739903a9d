"""A small target that does all that the smoke suite wants, and can be given one flaw after the other.

It is written on its own, not with the service's code: the suite is proved against something surely right.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

SECRET = "smoke-secret"
MAX_BODY_BYTES = 1_048_576
LATE_S = 0.15
SERVICES = ("database", "redis", "inngest", "sentry", "email", "waha")


@dataclass
class Flaws:
    """What is wrong with a target; nothing by default."""

    accepts_any_signature: bool = False
    fails_on_odd_signatures: bool = False
    takes_only_sha512: bool = False
    answers_twice: bool = False
    answers_again_late: bool = False
    never_answers: bool = False
    forgets_duplicates: bool = False
    knows_messages_by_whole_id: bool = False
    answers_every_event: bool = False
    refuses_ignored: bool = False
    hangs_on_webhooks: bool = False
    never_ready: bool = False
    ready_after_probes: int = 0
    lacks_a_service: bool = False
    is_degraded: bool = False
    health_takes_s: float = 0.0
    webhook_takes_s: float = 0.0
    fails_on_malformed: bool = False
    takes_any_size: bool = False
    drops_oversized_unanswered: bool = False
    has_no_metrics: bool = False
    has_no_gate_lane: bool = False


@dataclass
class ReferenceTarget:
    """The state of one target: what it has seen and what it replied."""

    flaws: Flaws
    replies: list[dict[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    probes: int = 0
    late: list[asyncio.TimerHandle] = field(default_factory=list)

    def app(self) -> Starlette:
        """Its HTTP interface, and `/waha/sent` as the sandbox has it."""
        routes = [
            Route("/api/webhooks/whatsapp", self.webhook, methods=["POST"]),
            Route("/api/health", self.health),
            Route("/api/health/live", _fine),
            Route("/api/health/ready", self.ready),
            Route("/waha/sent", self.sent),
        ]
        if not self.flaws.has_no_metrics:
            routes.append(Route("/metrics", _metrics))
        if not self.flaws.has_no_gate_lane:
            routes.append(Route("/api/gate/replies", self.gate_replies))
        return Starlette(routes=routes)

    async def webhook(self, request: Request) -> Response:
        """Read, verify, claim, answer."""
        if self.flaws.hangs_on_webhooks:
            await self._until_disconnect(request)
        await asyncio.sleep(self.flaws.webhook_takes_s)
        body = await self._bounded_body(request)
        if body is None:
            return _error(413, "too large")
        if not self._is_signed(body, request.headers):
            return _error(401, "Invalid webhook signature")
        event = _parsed(body)
        if event is None:
            return _error(500 if self.flaws.fails_on_malformed else 400, "not an event")
        return self._take(event)

    def _take(self, event: dict[str, Any]) -> Response:
        payload = event["payload"]
        wanted = event["event"] in ("message", "message.any") and not payload.get("fromMe")
        if not (wanted or self.flaws.answers_every_event) or "from" not in payload:
            return JSONResponse({"status": "ignored"}, status_code=422 if self.flaws.refuses_ignored else 200)
        key = payload["id"] if self.flaws.knows_messages_by_whole_id else payload["id"].split("_")[2]
        if key in self.seen and not self.flaws.forgets_duplicates:
            return JSONResponse({"status": "duplicate"})
        self.seen.add(key)
        self._reply(event)
        return JSONResponse({"status": "accepted", "messageId": payload["id"]}, status_code=202)

    def _reply(self, event: dict[str, Any]) -> None:
        payload = event["payload"]
        reply = {
            "session": event["session"],
            "chatId": payload["from"],
            "text": f"You said: {payload['body']}",
            "replyTo": payload["id"],
            "time": int(time.time() * 1000),
        }
        if not self.flaws.never_answers:
            self.replies.append(reply)
        if self.flaws.answers_twice:
            self.replies.append(reply)
        if self.flaws.answers_again_late:
            self.late.append(asyncio.get_running_loop().call_later(LATE_S, self.replies.append, reply))

    async def _bounded_body(self, request: Request) -> bytes | None:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES and not self.flaws.takes_any_size:
                if self.flaws.drops_oversized_unanswered:
                    raise ConnectionAbortedError("the body is too large")
                return None
        return bytes(body)

    async def _until_disconnect(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def _is_signed(self, body: bytes, headers: Any) -> bool:
        if self.flaws.accepts_any_signature:
            return True
        given = headers.get("X-Webhook-Hmac", "")
        if self.flaws.fails_on_odd_signatures:
            bytes.fromhex(given)
        algorithm = headers.get("X-Webhook-Hmac-Algorithm")
        allowed = ("sha512",) if self.flaws.takes_only_sha512 else ("sha512", "sha256")
        if algorithm not in allowed:
            return False
        expected = hmac.new(SECRET.encode(), body, getattr(hashlib, algorithm)).hexdigest()
        return hmac.compare_digest(expected.encode(), given.encode())

    async def health(self, request: Request) -> Response:
        """The runbook's health answer."""
        await asyncio.sleep(self.flaws.health_takes_s)
        services = {name: {"status": "configured"} for name in SERVICES}
        services["redis"] = {"status": "up", "responseTime": 1}  # type: ignore[dict-item]
        if self.flaws.lacks_a_service:
            del services["waha"]
        if self.flaws.is_degraded:
            services["waha"] = {"status": "down"}
        status = "degraded" if self.flaws.is_degraded else "healthy"
        return JSONResponse({"status": status, "timestamp": "2026-10-01T12:00:00.000Z", "services": services})

    async def ready(self, request: Request) -> Response:
        """Ready at once, after some probes, or never."""
        self.probes += 1
        ready = not self.flaws.never_ready and self.probes > self.flaws.ready_after_probes
        return JSONResponse({"ready": ready}, status_code=200 if ready else 503)

    async def gate_replies(self, request: Request) -> Response:
        """One page of replies after a cursor."""
        start, limit = int(request.query_params["after"]), int(request.query_params["limit"])
        page = self.replies[start : start + limit]
        return JSONResponse({"replies": page, "next": str(start + len(page))})

    async def sent(self, request: Request) -> Response:
        """The same replies as the sandbox lists them."""
        chat_id = request.query_params["chatId"]
        return JSONResponse([reply for reply in self.replies if reply["chatId"] == chat_id])


async def _fine(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    return PlainTextResponse('# TYPE webhooks_total counter\nwebhooks_total{outcome="accepted"} 1\n')


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"code": status, "message": message}}, status_code=status)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


@contextmanager
def running(flaws: Flaws) -> Iterator[str]:
    """A target with these flaws on a free port of loopback; gives its base URL."""
    with serving(ReferenceTarget(flaws).app()) as url:
        yield url


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Any application on a free port of loopback, in a thread; gives its base URL."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
