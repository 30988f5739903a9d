"""What surrounds every request: its id, its time, and the last line of defence. Plain ASGI."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.lanes import LaneName
from service.telemetry.alarms import Alarm, Alarms
from service.telemetry.logs import Log
from service.telemetry.metrics import WebMetrics
from service.webhooks.caller import lane_name, request_id
from service.webhooks.signature import headers_of

SLOW_S = 1.0
ALARMING_S = 3.0

UNHURRIED = frozenset({"/api/inngest"})
"""Paths whose requests take as long as an answer to a message does: nobody waits for them."""

SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
"""On every answer: nobody takes it for anything but what it says it is, and nobody keeps it."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class Stopwatch:
    """Counts each request with its time, and tells of the slow ones."""

    paths: frozenset[str]
    """The known paths; all others share one label."""
    metrics: WebMetrics
    log: Log
    alarms: Alarms
    clock: Callable[[], float] = time.perf_counter

    def observe(
        self, method: str, path: str, status: int, lane: LaneName, request_id: str, started: float
    ) -> None:
        """A request that started at *started* on `clock` was answered now."""
        duration_s = self.clock() - started
        method = method if method in _METHODS else "other"
        path = path if path in self.paths else "other"
        self.metrics.observe_request(method, path, status, lane, duration_s)
        if path in UNHURRIED:
            return
        if duration_s > SLOW_S:
            self.log.warning(
                "Slow request detected",
                requestId=request_id,
                method=method,
                path=path,
                status=status,
                durationMs=round(duration_s * 1000),
            )
        if duration_s > ALARMING_S:
            self.alarms.raise_alarm(Alarm.SLOW_REQUEST, path=path, durationMs=round(duration_s * 1000))


class RequestContext:
    """Gives each request an id (`scope["request_id"]`, X-Request-Id), times it and survives its errors."""

    def __init__(self, app: ASGIApp, *, stopwatch: Stopwatch, log: Log) -> None:
        self._app = app
        self._stopwatch = stopwatch
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope["headers"])
        its_id = scope["request_id"] = request_id(headers)
        status, started = 0, self._stopwatch.clock()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    *SECURITY_HEADERS,
                    (b"x-request-id", its_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # the app has answered 500 already; this is where it is told
            self._log.error("Request failed", requestId=its_id, exc_info=error)
            self._stopwatch.alarms.report_error("Request failed", error)
        finally:
            lane = lane_name(headers)
            self._stopwatch.observe(scope["method"], scope["path"], status, lane, its_id, started)
