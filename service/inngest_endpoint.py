"""`POST` and `PUT /api/inngest`: Inngest's calls, whose signatures its own package checks.

Imported only where Inngest is configured: the package and FastAPI, which its adapter needs, take their time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import fastapi
import inngest
import inngest.fast_api
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.alarms import Alarm, Alarms
from service.body import ClientGone, read_bounded
from service.inngest_events import MESSAGE_RECEIVED
from service.inngest_runs import Later, NoMessage, Runs
from service.logs import Log

PATH = "/api/inngest"
APP_ID = "runbook"
FUNCTION_ID = "answer-message"

MAX_CALL_BYTES = 65_536
"""Of a call's body. Our events have a few hundred bytes, and everybody may make us check a signature."""

MOST_RETRIES = 20
"""As many as Inngest allows. What it has given up by then, a worker takes over."""


@dataclass(frozen=True)
class InngestOptions:
    """What the settings say. `fallback_key`: the signing key that is being replaced, or that replaces it.

    `app_url`: where Inngest reaches this service; None: as the caller did. A base URL that is None is
    Inngest's own.
    """

    event_key: str
    signing_key: str | None
    fallback_key: str | None
    event_api_url: str | None
    api_url: str | None
    app_url: str | None
    checks_signatures: bool


class _Client(inngest.Inngest):
    """The package takes a second key from the process's environment only, and ours may be in a file."""

    fallback_key: str | None = None

    @property
    def signing_key_fallback(self) -> str | None:
        return self.fallback_key


class InngestEndpoint:
    """An ASGI application: bounds the body, hands it to the package, tells of wrong signatures."""

    def __init__(
        self, options: InngestOptions, runs: Runs, *, timeout_s: float, alarms: Alarms, log: Log
    ) -> None:
        self._app = _adapter(options, runs)
        self._timeout_s = timeout_s
        self._alarms = alarms
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call.

        Raises:
            Rejected: its body is too long or too slow.
        """
        try:
            body = await read_bounded(receive, max_bytes=MAX_CALL_BYTES, timeout_s=self._timeout_s)
        except ClientGone:
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._tell_of_signature(scope)
            await send(message)

        await self._app(scope, _replayed(body, receive), watched)

    def _tell_of_signature(self, scope: Scope) -> None:
        self._alarms.raise_alarm(Alarm.SIGNATURE_FAILURES, code="inngest")
        self._log.warning(
            "Invalid Inngest signature",
            security=True,
            action="invalid_signature",
            requestId=scope.get("request_id"),
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """*body*, which was read, as a whole; then what *receive* still has: the end of the connection."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _adapter(options: InngestOptions, runs: Runs) -> ASGIApp:
    """The package's own, with our one function."""
    client = _client(options)
    app = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    inngest.fast_api.serve(
        app,
        client,
        [_function(client, runs)],
        enable_unauthed_sync=False,
        serve_origin=options.app_url,
        serve_path=PATH,
    )
    return app


def _client(options: InngestOptions) -> inngest.Inngest:
    silent = logging.getLogger("service.inngest")
    silent.setLevel(logging.CRITICAL)  # it would log errors with their messages; we tell of them ourselves
    client = _Client(
        app_id=APP_ID,
        api_base_url=options.api_url,
        event_api_base_url=options.event_api_url,
        event_key=options.event_key,
        signing_key=options.signing_key,
        is_production=options.checks_signatures,
        logger=silent,
    )
    client.fallback_key = options.fallback_key
    return client


def _function(client: inngest.Inngest, runs: Runs) -> inngest.Function[None]:
    @client.create_function(
        fn_id=FUNCTION_ID,
        name="Answer a WhatsApp message",
        retries=MOST_RETRIES,
        trigger=inngest.TriggerEvent(event=MESSAGE_RECEIVED),
    )
    async def answer(context: inngest.Context) -> None:
        try:
            await runs.run(context.event.data.get("entry"))
        except Later as later:
            raise inngest.RetryAfterError(str(later), later.pause_ms, quiet=True) from None
        except NoMessage as error:
            raise inngest.NonRetriableError(str(error), quiet=True) from None

    return answer
