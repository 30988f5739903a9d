"""The web application: its routes, and the one place where refusals become answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from service.lanes import Lane, LaneName
from service.messages.replies import RecordedReplies
from service.storage.store import Store, StoreError
from service.telemetry.alarms import Alarms
from service.telemetry.figures import Figures
from service.telemetry.health import Health
from service.telemetry.logs import Log
from service.telemetry.metrics import WebMetrics
from service.webhooks.caller import lane_name
from service.webhooks.middleware import RequestContext, Stopwatch
from service.webhooks.rejected import Internal, NotFound, NotReady, Rejected, Unavailable, error_content
from service.webhooks.signature import headers_of
from service.webhooks.webhook import PATH as WEBHOOK_PATH
from service.webhooks.webhook import Answer, Webhook


class Draining:
    """Whether this process is on its way out. Set once, by SIGTERM."""

    def __init__(self) -> None:
        self.begun = False


@dataclass(frozen=True)
class InngestState:
    """What `GET /api/inngest` tells of the configuration; no key is shown."""

    has_event_key: bool
    has_signing_key: bool


@dataclass(frozen=True)
class Web:
    """Everything that the endpoints use."""

    webhook: Webhook
    health: Health
    figures: Figures
    store: Store
    gate: Lane
    draining: Draining
    inngest: InngestState
    metrics: WebMetrics
    alarms: Alarms
    log: Log
    inngest_calls: ASGIApp | None = None
    """Takes Inngest's calls, where it is configured."""

    @cached_property
    def stopwatch(self) -> Stopwatch:
        """Times the requests, whichever way they come."""
        paths = frozenset(route.path for route in self._routes())
        return Stopwatch(paths, self.metrics, self.log, self.alarms)

    def _routes(self) -> list[Route]:
        routes = [
            Route(WEBHOOK_PATH, self.webhook, methods=["POST"]),
            Route("/api/health", self._health),
            Route("/api/health/live", self._live),
            Route("/api/health/ready", self._ready),
            Route("/api/gate/replies", self._replies),
            Route("/api/inngest", self._inngest),
            Route("/metrics", self._metrics),
        ]
        if self.inngest_calls:
            routes.append(Route("/api/inngest", self.inngest_calls, methods=["POST", "PUT"]))
        return routes

    def app(self) -> ASGIApp:
        """The ASGI application."""
        starlette = Starlette(
            routes=self._routes(),
            exception_handlers={
                Rejected: _answer_error,
                HTTPException: _answer_error,
                Exception: _answer_error,
            },
        )
        # `/metrics/` is not known: a redirect would only hide a wrong address.
        starlette.router.redirect_slashes = False
        return RequestContext(starlette, stopwatch=self.stopwatch, log=self.log)

    async def _health(self, _request: Request) -> Response:
        report = await self.health.report()
        return JSONResponse(report.as_json(), status_code=report.http_status)

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _request: Request) -> Response:
        """Whether the proxy should send requests here: WAHA may be down, webhooks must still be taken."""
        if self.draining.begun:
            raise NotReady("this process is draining")
        try:
            await self.store.call("PING")
        except StoreError as error:
            raise NotReady("Redis does not answer") from error
        return JSONResponse({"status": "ready"})

    async def _replies(self, request: Request) -> Response:
        if lane_name(headers_of(request.scope["headers"])) is not LaneName.GATE:
            raise NotFound("not found")
        query = request.query_params
        try:
            page = await RecordedReplies(self.store, self.gate).page(
                query.get("after", "0"), query.get("limit", "100")
            )
        except StoreError as error:
            raise Unavailable("Redis does not answer", retry_after_s=2) from error
        return JSONResponse(page)

    async def _inngest(self, _request: Request) -> Response:
        state = self.inngest
        return JSONResponse(
            {
                "configured": state.has_event_key and state.has_signing_key,
                "has_event_key": state.has_event_key,
                "has_signing_key": state.has_signing_key,
            }
        )

    async def _metrics(self, _request: Request) -> Response:
        await self.figures.refresh()
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _answer_error(_request: Request, error: Exception) -> Response:
    """Any exception as `{"error": {"code", "message"}}`; what is neither ours nor HTTP's is a bare 500."""
    if isinstance(error, HTTPException):
        content = error_content(error.detail.lower().replace(" ", "_"), error.detail)
        return Response(content, error.status_code, error.headers, media_type="application/json")
    answer = Answer.to(error if isinstance(error, Rejected) else Internal())
    response = Response(answer.content, answer.status)
    response.raw_headers = answer.headers()
    return response
