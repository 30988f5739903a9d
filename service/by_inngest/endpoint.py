"""`POST` and `PUT /api/inngest`: Inngest's calls, whose signatures its own package checks.

Imported only where Inngest is configured: the package and FastAPI, which its adapter needs, take their time.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import fastapi
import inngest
import inngest.fast_api
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.by_inngest.events import MESSAGE_RECEIVED
from service.by_inngest.runs import SOON_MS, Later, NoMessage, Runs
from service.telemetry.alarms import Alarm, Alarms
from service.telemetry.logs import Log
from service.webhooks.body import ClientGone, read_bounded

PATH = "/api/inngest"
APP_ID = "runbook"
FUNCTION_ID = "answer-message"

MAX_CALL_BYTES = 65_536
"""Of a call's body. Our events have a few hundred bytes, and everybody may make us check a signature."""

_SIGNATURE_HEADER = b"x-inngest-signature"
_SIGNATURE = re.compile(rb"t=\d{1,20}&s=[0-9a-f]{64}")

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


class _RetryAfter(inngest.RetryAfterError):
    """Without a trace of our code."""

    include_stack = False


class _Refused(inngest.NonRetriableError):
    """Without a trace of our code."""

    include_stack = False


class InngestEndpoint:
    """An ASGI application: bounds the body, hands it to the package, tells of wrong signatures."""

    def __init__(
        self, options: InngestOptions, runs: Runs, *, timeout_s: float, alarms: Alarms, log: Log
    ) -> None:
        self._runs = runs
        self._timeout_s = timeout_s
        self._alarms = alarms
        self._log = log
        self._app = self._adapter(options)

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

        await self._app(_with_sound_headers(scope), _replayed(body, receive), watched)

    def _tell_of_signature(self, scope: Scope) -> None:
        self._alarms.raise_alarm(Alarm.SIGNATURE_FAILURES, code="inngest")
        self._log.warning(
            "Invalid Inngest signature",
            security=True,
            action="invalid_signature",
            requestId=scope.get("request_id"),
        )

    def _adapter(self, options: InngestOptions) -> ASGIApp:
        """The package's own, with our one function."""
        client = _client(options)
        trigger = inngest.TriggerEvent(event=MESSAGE_RECEIVED)
        function = client.create_function(fn_id=FUNCTION_ID, trigger=trigger, retries=MOST_RETRIES)(self._run)
        app = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        inngest.fast_api.serve(
            app,
            client,
            [function],
            enable_unauthed_sync=False,
            serve_origin=options.app_url,
            serve_path=PATH,
        )
        return app

    async def _run(self, context: inngest.Context) -> None:
        """The function. Inngest hears when to call again, and nothing else of what went wrong."""
        try:
            await self._runs.run(context.event.data.get("entry"))
        except Later as later:
            raise _RetryAfter(str(later), later.pause_ms) from None
        except NoMessage as error:
            raise _Refused(str(error)) from None
        except Exception as error:
            self._log.error("Inngest's run failed", exc_info=error)
            self._alarms.report_error("Inngest's run failed", error)
            raise _RetryAfter("an error of the service", SOON_MS) from None


def _with_sound_headers(scope: Scope) -> Scope:
    """*scope* without a signature that has not the form of one: the package would break on its characters."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name.lower() != _SIGNATURE_HEADER or _SIGNATURE.fullmatch(value)
    ]
    return {**scope, "headers": headers}


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
