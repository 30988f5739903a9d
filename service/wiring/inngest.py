"""Builds the parts of Inngest from the settings, and says whether there are any."""

from __future__ import annotations

import httpx
import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from service.by_inngest.custody import Hands
from service.by_inngest.events import Events
from service.by_inngest.forwarding import Forwarding, ForwardingMetrics
from service.by_inngest.runs import RunMetrics, Runs
from service.messages.answering import Answering
from service.messages.inbox import RetryPolicy
from service.settings import Settings, WebSettings, WorkerSettings
from service.telemetry.alarms import Alarms
from service.telemetry.logs import Log

EVENT_API = "https://inn.gs"
DEV_SERVER = "http://127.0.0.1:8288"

EVENT_TIMEOUT_S = 5.0


def checks_signatures(settings: Settings) -> bool:
    """Whether Inngest's calls must be signed: always, but for a dev server."""
    return (settings.inngest_dev or "0").lower() in ("0", "false")


def runs_by_inngest(settings: Settings) -> bool:
    """Whether live messages go through Inngest: it can be told of them, and its calls can be checked."""
    has_key = bool(settings.inngest_signing_key) or not checks_signatures(settings)
    return bool(settings.inngest_event_key) and has_key


def warn_of_inngest(settings: Settings, log: Log) -> None:
    """Tell of settings that look like a mistake."""
    if not checks_signatures(settings):
        log.warning("INNGEST_DEV is set: signature checks are off", security=True)
    if settings.inngest_event_key and not runs_by_inngest(settings):
        log.warning(
            "INNGEST_EVENT_KEY is set, INNGEST_SIGNING_KEY is not: the workers answer without Inngest"
        )


def event_api_url(settings: Settings) -> str:
    """Where events are sent: as told, else to the dev server, else to Inngest."""
    if settings.inngest_event_api_base_url:
        return settings.inngest_event_api_base_url
    if checks_signatures(settings):
        return EVENT_API
    told = settings.inngest_dev or ""
    return told if told.startswith("http") else DEV_SERVER


def forwarding(
    settings: WorkerSettings,
    client: httpx.AsyncClient,
    hands: Hands,
    answering: Answering,
    registry: CollectorRegistry,
) -> Forwarding:
    """The worker's side; *client* is for `event_api_url`."""
    assert settings.inngest_event_key
    return Forwarding(
        inbox=answering.inbox,
        hands=hands,
        events=Events(client, settings.inngest_event_key.get_secret_value()),
        answering=answering,
        release=settings.release,
        metrics=ForwardingMetrics(registry),
        log=structlog.get_logger(),
    )


def endpoint(
    settings: WebSettings,
    hands: Hands,
    answering: Answering,
    registry: CollectorRegistry,
    alarms: Alarms,
) -> ASGIApp:
    """The web's side."""
    # Imported only where it is used: the package and FastAPI take their time and memory.
    from service.by_inngest.endpoint import InngestEndpoint, InngestOptions

    assert settings.inngest_event_key
    signing_key, fallback_key = settings.inngest_signing_key, settings.inngest_signing_key_fallback
    options = InngestOptions(
        event_key=settings.inngest_event_key.get_secret_value(),
        signing_key=signing_key.get_secret_value() if signing_key else None,
        fallback_key=fallback_key.get_secret_value() if fallback_key else None,
        event_api_url=event_api_url(settings),
        api_url=settings.inngest_api_base_url,
        app_url=settings.next_public_app_url,
        checks_signatures=checks_signatures(settings),
    )
    runs = Runs(
        inbox=answering.inbox,
        hands=hands,
        answering=answering,
        retry=RetryPolicy(settings.retry_base_s, settings.retry_cap_s),
        lease_s=settings.lease_s,
        metrics=RunMetrics(registry),
        log=structlog.get_logger(),
    )
    return InngestEndpoint(
        options, runs, timeout_s=settings.body_timeout_s, alarms=alarms, log=structlog.get_logger()
    )
