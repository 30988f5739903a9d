"""A small target that does all that the smoke suite wants, and can be given one flaw after the other.

It is written on its own, not with the service's code: the suite is proved against something surely right.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_flaws import Flaws
from reference_headers import Headers
from reference_health import health_answer
from reference_metrics import Processes
from reference_server import serving
from reference_signature import is_signed
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from contracts.gate_lane import ASK_MODEL, GATE_REPLY

SECRET = "smoke-secret"
MAX_BODY_BYTES = 1_048_576
TOLERANCE_MS = 48 * 3600 * 1000
LATE_S = 0.5
LAST_MESSAGE = "find me in the logs"
"""After it a run with logs reads no replies until all has settled."""
AT_ONCE = "say this once"
"""What several webhooks say of which some come at the same time."""
ANOTHER_WITHIN_S = 0.5
AT_FIRST = 4
"""Answers of health in which `finds_down_at_first` holds."""


@dataclass
class ReferenceTarget:
    """The state of one target: what it has seen and what it replied. `log`: where it writes its log."""

    flaws: Flaws
    processes: Processes = field(default_factory=Processes)
    log: Path | None = None
    replies: list[dict[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    faults: list[dict[str, Any]] = field(default_factory=list)
    is_down: bool = False
    probes: int = 0
    asked: int = 0
    late: list[dict[str, Any]] = field(default_factory=list)
    claiming: dict[str, asyncio.Event] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Its HTTP interface, and `/waha/sent` and `/faults` as the sandbox has them."""
        routes = [
            Route("/api/webhooks/whatsapp", self.webhook, methods=["POST"]),
            Route("/api/health", self.health),
            Route("/api/health/live", _fine),
            Route("/api/health/ready", self.ready),
            Route("/waha/sent", self.sent),
            Route("/faults", self.list_faults),
            Route("/faults/convex", self.set_fault, methods=["PUT"]),
            Route("/faults/convex", self.end_fault, methods=["DELETE"]),
        ]
        if not self.flaws.has_no_metrics:
            routes.append(Route("/metrics", self.metrics))
        if not self.flaws.has_no_gate_lane:
            routes.append(Route("/api/gate/replies", self.gate_replies))
        return Starlette(routes=routes, middleware=[Middleware(Headers, flaws=self.flaws)])

    async def webhook(self, request: Request) -> Response:
        """Read, verify, claim, answer."""
        if not self.flaws.counts_no_webhooks:
            self.processes.count_webhook()
        if self.flaws.hangs_on_webhooks:
            await self._until_disconnect(request)
        await asyncio.sleep(self.flaws.webhook_takes_s)
        body = await self._bounded_body(request)
        if body is None:
            return _error(413, "too large")
        if not is_signed(body, request.headers, self.flaws.takes_only or SECRET, self.flaws):
            return _error(401, "Invalid webhook signature")
        event = self._parsed(body)
        if event is None:
            return _error(500 if self.flaws.fails_on_malformed else 400, "not an event")
        if not self.flaws.takes_any_time and abs(event["timestamp"] - time.time() * 1000) > TOLERANCE_MS:
            return _error(401, "stale event")
        return await self._take(event, request.headers.get("X-Webhook-Request-Id", ""))

    async def _take(self, event: dict[str, Any], request_id: str) -> Response:
        self._tell(request_id, "received")
        payload, flaws = event["payload"], self.flaws
        if flaws.fails_on_null_media and payload.get("hasMedia") and not payload["media"]:
            return _error(500, "'NoneType' object is not subscriptable")
        if not self._is_wanted(event) or "from" not in payload:
            return JSONResponse({"status": "ignored"}, status_code=422 if flaws.refuses_ignored else 200)
        self._tell(request_id, "verified")
        key = payload["id"] if flaws.knows_messages_by_whole_id else payload["id"].split("_")[2]
        if key in self.seen and not flaws.forgets_duplicates:
            return JSONResponse({"status": "duplicate"})
        if flaws.claims_late and payload["body"] == AT_ONCE:
            await self._let_another_come(key)
        self.seen.add(key)
        if not (flaws.drops_non_ascii and not payload["body"].isascii()):
            self._reply(event)
            if not flaws.logs_no_replies:
                self._tell(request_id, "processed")
        return JSONResponse({"status": "accepted", "messageId": payload["id"]}, status_code=202)

    async def _let_another_come(self, key: str) -> None:
        """Wait with the claim for another webhook of the same message, which then need not wait."""
        if first := self.claiming.pop(key, None):
            first.set()
            return
        self.claiming[key] = came = asyncio.Event()
        with suppress(TimeoutError):
            await asyncio.wait_for(came.wait(), ANOTHER_WITHIN_S)
        self.claiming.pop(key, None)

    def _is_wanted(self, event: dict[str, Any]) -> bool:
        payload, flaws = event["payload"], self.flaws
        chat = payload.get("from", "")
        if flaws.answers_every_event:
            return True
        if flaws.answers_reactions and event["event"] == "message.reaction":
            return True
        if flaws.needs_a_persons_chat and not chat.endswith("@c.us"):
            return False
        is_broadcast = chat == "status@broadcast" or chat.endswith("@newsletter")
        is_message = event["event"] in ("message", "message.any") and not payload.get("fromMe")
        return is_message and (flaws.answers_broadcasts or not is_broadcast)

    def _reply(self, event: dict[str, Any]) -> None:
        payload = event["payload"]
        reply = {
            "session": event["session"],
            "chatId": payload["from"],
            "text": self._text(payload["body"]),
            "replyTo": payload["id"],
            "time": int(time.time() * 1000),
        }
        if not self.flaws.never_answers and reply["text"]:
            self.replies.append(reply)
        if self.flaws.answers_twice or (
            self.flaws.answers_groups_twice and payload["from"].endswith("@g.us") and payload["participant"]
        ):
            self.replies.append(reply)
        if self.flaws.answers_again_late:
            self.late.append(reply)
            if payload["body"] == LAST_MESSAGE:
                asyncio.get_running_loop().call_later(LATE_S, self.replies.extend, self.late)

    def _text(self, body: str) -> str:
        return self.flaws.models_answer if body.startswith(ASK_MODEL) else GATE_REPLY

    def _tell(self, request_id: str, event: str) -> None:
        """Write a line to the log, if there is one."""
        line = {"level": "info", "msg": f"Message {event}", "event": event, "requestId": request_id}
        if self.flaws.logs_no_request_ids:
            del line["requestId"]
        if self.log:
            with self.log.open("a") as log:
                log.write(f"{line}\n" if self.flaws.logs_no_json else f"{json.dumps(line)}\n")

    async def _bounded_body(self, request: Request) -> bytes | None:
        limit = 32_768 if self.flaws.is_limited_to_32_kb else MAX_BODY_BYTES
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit and not self.flaws.takes_any_size:
                if self.flaws.drops_oversized_unanswered:
                    raise ConnectionAbortedError("the body is too large")
                return None
        return bytes(body)

    async def _until_disconnect(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def _parsed(self, body: bytes) -> dict[str, Any] | None:
        try:
            event = json.loads(body.decode(errors="replace" if self.flaws.replaces_bad_utf8 else "strict"))
        except (ValueError, RecursionError):
            return None
        return event if isinstance(event, dict) else None

    async def health(self, request: Request) -> Response:
        """The runbook's health answer."""
        await asyncio.sleep(self.flaws.health_takes_s)
        down = {*self.flaws.finds_down, *(["database"] if self.is_down else [])}
        if self.asked < AT_FIRST:
            down |= {*self.flaws.finds_down_at_first}
        self.asked += 1
        status, body = health_answer(self.flaws, down=down)
        return JSONResponse(body, status_code=status)

    async def ready(self, request: Request) -> Response:
        """Ready at once, after some probes, or never."""
        self.probes += 1
        ready = not self.flaws.never_ready and self.probes > self.flaws.ready_after_probes
        return JSONResponse({"ready": ready}, status_code=200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """What a web process tells."""
        return PlainTextResponse(self.processes.page("queue_depth" if self.flaws.lacks_a_metric else ""))

    async def list_faults(self, request: Request) -> Response:
        """The fault that is set now."""
        return JSONResponse({"convex": self.faults[-1]} if self.is_down else {})

    async def set_fault(self, request: Request) -> Response:
        """Take the database away."""
        self.faults.append(await request.json())
        self.is_down = True
        return JSONResponse(self.faults[-1])

    async def end_fault(self, request: Request) -> Response:
        """Give it back."""
        self.is_down = self.flaws.stays_unhealthy
        self.faults.append({})
        return Response(status_code=204)

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


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"code": status, "message": message}}, status_code=status)


@contextmanager
def running(flaws: Flaws, log: Path | None = None) -> Iterator[str]:
    """A target with these flaws on a free port of loopback; gives its base URL."""
    with serving(ReferenceTarget(flaws, log=log).app()) as url:
        yield url
