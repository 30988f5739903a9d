"""Alarms and errors to Sentry: what may go out is listed here, and nothing else does.

The SDK's client is used by itself, without its integrations, scopes and breadcrumbs: those collect whatever
passes by. Events wait in a bounded queue for a thread that sends them: a Sentry that is away costs the others
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sentry_sdk import Client
from sentry_sdk.consts import CompressionAlgo
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from service.telemetry.alarms import Alarm, Alarms, Level, NoAlarms
from service.telemetry.logs import Log
from service.telemetry.throttle import Rate, Throttle

FLUSH_S = 1.0
"""How long the end of the process waits for what is still to be sent."""

EVERY_S = 60.0
"""The same alarm, or the same error, goes out once in this time."""

LEVELS: dict[Level, Literal["fatal", "error", "warning"]] = {
    Level.CRITICAL: "fatal",
    Level.ERROR: "error",
    Level.WARNING: "warning",
}
"""Sentry's words."""

_WORD = re.compile(r"[A-Za-z_/.-]{1,48}")
"""What a text that is told looks like: no blank, so no sentence, and no digit, so nobody's number."""

FIELDS = frozenset(
    {
        "action",
        "attempt",
        "code",
        "durationMs",
        "error",
        "lane",
        "method",
        "operation",
        "outcome",
        "path",
        "service",
        "status",
        "suppressed",
    }
)
"""The fields of an alarm that go out, where their values are numbers or `_WORD`s."""

_LARGEST = 10_000_000
"""Beyond it a number might be a telephone's."""

_EVENT = ("event_id", "timestamp", "platform", "level", "message", "fingerprint", "release", "environment")
_FRAME = ("filename", "function", "module", "lineno", "in_app")


@dataclass(frozen=True)
class SentryOptions:
    """Where events go and what each is marked with. `process`: `web` or `worker`."""

    dsn: str
    release: str
    environment: str
    process: str
    signature_failures_per_minute: int


@asynccontextmanager
async def open_alarms(options: SentryOptions, log: Log) -> AsyncIterator[Alarms]:
    """Alarms to Sentry; to nobody if there is no DSN, or a wrong one, which is told once in the log."""
    # Its warnings tell of each attempt at a Sentry that is away.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    client = _client(options, log) if options.dsn else None
    if client is None:
        yield NoAlarms()
        return
    alarms = SentryAlarms(client, options)
    try:
        yield alarms
    except Exception as error:
        alarms.report_error(f"{options.process.capitalize()} failed", error)
        raise
    finally:
        await asyncio.to_thread(client.close, FLUSH_S)


def _client(options: SentryOptions, log: Log) -> Client | None:
    try:
        return Client(
            dsn=options.dsn,
            release=options.release or "bare",  # without one the SDK would ask git
            environment=options.environment,
            default_integrations=False,
            auto_enabling_integrations=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            include_local_variables=False,
            include_source_context=False,
            auto_session_tracking=False,
            send_client_reports=False,
            http_proxy="",  # as everywhere here: the settings say everything
            https_proxy="",
            before_send=scrubbed,
            # What is installed beside us must not choose.
            _experiments={"transport_compression_algo": CompressionAlgo.GZIP},
        )
    except Exception as error:  # whatever a wrong DSN does to the SDK, messages are answered
        log.warning("Sentry is not used: SENTRY_DSN is wrong", error=type(error).__name__)
        return None


class SentryAlarms:
    """See `Alarms`. The same thing is told once a minute, with the number of those not told since."""

    def __init__(
        self, client: Client, options: SentryOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._process = options.process
        self._throttle = Throttle(EVERY_S, clock)
        self._signature_failures = Rate(options.signature_failures_per_minute, 60, clock)

    def raise_alarm(self, alarm: Alarm, **fields: str | int | float) -> None:
        """See `Alarms.raise_alarm`."""
        if alarm is Alarm.SIGNATURE_FAILURES and not self._signature_failures.is_exceeded():
            return
        suppressed = self._throttle.let_through(alarm.value)
        if suppressed is not None:
            event: Event = {
                "level": LEVELS[alarm.level],
                "message": alarm.value,
                "fingerprint": [alarm.value],
            }
            self._send(event, {**fields, "suppressed": suppressed})

    def report_error(self, what: str, error: BaseException) -> None:
        """See `Alarms.report_error`."""
        suppressed = self._throttle.let_through(f"{what}/{type(error).__name__}")
        if suppressed is not None:
            event, _ = event_from_exception(error, client_options=self._client.options)
            event |= {"level": LEVELS[Level.ERROR], "message": what}
            self._send(event, {"suppressed": suppressed})

    def _send(self, event: Event, fields: dict[str, str | int | float]) -> None:
        event |= {"tags": {"process": self._process}, "extra": {**fields}}
        with contextlib.suppress(Exception):  # an alarm that cannot be told must not add to what is wrong
            self._client.capture_event(event)


def scrubbed(event: Event, _hint: Hint) -> Event:
    """*event* with only those of its parts that are known to be harmless: the last step before it is sent."""
    kept: dict[str, Any] = {name: event[name] for name in _EVENT if name in event}  # type: ignore[literal-required]
    kept["tags"] = dict(event.get("tags") or {})
    extra = event.get("extra") or {}
    kept["extra"] = {name: value for name, value in extra.items() if _harmless(name, value)}
    if "exception" in event:
        kept["exception"] = {"values": [_without_text(value) for value in event["exception"]["values"]]}
    return kept  # type: ignore[return-value]  # the same type with fewer keys


def _harmless(name: str, value: object) -> bool:
    if name not in FIELDS:
        return False
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return isinstance(value, int | float) and abs(value) < _LARGEST


def _without_text(exception: dict[str, Any]) -> dict[str, Any]:
    """An exception's type and places; its message may quote anything."""
    frames = (exception.get("stacktrace") or {}).get("frames") or []
    return {
        "type": exception.get("type"),
        "module": exception.get("module"),
        "stacktrace": {"frames": [{name: frame.get(name) for name in _FRAME} for frame in frames]},
    }
