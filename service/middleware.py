"""What surrounds every request: its id, its time, and the last line of defence. Plain ASGI."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.caller import request_id
from service.logs import Log
from service.metrics import WebMetrics

SLOW_S = 1.0

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestContext:
    """Gives each request an id (`scope["request_id"]`, X-Request-Id), times it and survives its errors."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        paths: frozenset[str],
        metrics: WebMetrics,
        log: Log,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """*paths* are the known paths; all others share one label."""
        self._app = app
        self._paths = paths
        self._metrics = metrics
        self._log = log
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = request_id(scope)
        status, started = 0, self._clock()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", scope["request_id"].encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # the app has answered 500 already; this is where it is told
            self._log.error("Request failed", requestId=scope["request_id"], exc_info=error)
        finally:
            self._observe(scope, status, self._clock() - started)

    def _observe(self, scope: Scope, status: int, duration_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._metrics.requests.labels(method, path, str(status)).observe(duration_s)
        if duration_s > SLOW_S:
            self._log.warning(
                "Slow request detected",
                requestId=scope["request_id"],
                method=method,
                path=path,
                status=status,
                durationMs=round(duration_s * 1000),
            )
