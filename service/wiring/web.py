"""Builds the web process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from starlette.types import ASGIApp

from service.accounts.database import Database
from service.accounts.measured_database import DatabaseMetrics
from service.by_inngest.custody import Hands
from service.lanes import LIVE, LaneName, gate_lane
from service.messages.inbox import RetryPolicy
from service.settings import WebSettings
from service.storage.measured_store import StoreMetrics
from service.storage.store import Store
from service.telemetry.alarms import Alarm, Alarms
from service.telemetry.figures import FigureMetrics, Figures, Tenants
from service.telemetry.health import Health, State
from service.telemetry.logs import Pseudonyms, Tell
from service.telemetry.metrics import WebMetrics, WorkerMetrics, new_registry
from service.telemetry.probes import add_sentry, configured, http_probe
from service.telemetry.silence import Sessions
from service.telemetry.unread import UnreadWatch
from service.webhooks.admission import StreamAdmission
from service.webhooks.blocklist import Blocklist
from service.webhooks.headroom import Headroom
from service.webhooks.signature import Secrets
from service.webhooks.web import Draining, InngestState, Web
from service.webhooks.webhook import Limits, Webhook
from service.wiring import inngest as inngest_wiring
from service.wiring.answering import Parts, consumer_name, inbox_of, open_answering, open_parts, open_receipts
from service.wiring.outside import open_alarms_of, open_database, open_http, open_store, plain, waha_headers

GATE_RATE_PER_MINUTE = 6_000_000
"""In effect no limit: whoever limits customers' webhooks must not refuse every release, and a rollback."""


@asynccontextmanager
async def open_web(settings: WebSettings, draining: Draining, tell: Tell) -> AsyncIterator[Web]:
    """The web application and all it uses. Connects later: it starts while Redis is away."""
    async with AsyncExitStack() as stack:
        metrics = WebMetrics(new_registry())
        alarms = await open_alarms_of(settings, "web", stack)
        inngest_wiring.warn_of_inngest(settings, structlog.get_logger())
        store = open_store(settings, stack, StoreMetrics(metrics.registry))
        parts = None
        if inngest_wiring.runs_by_inngest(settings):
            parts = open_parts(settings, store, WorkerMetrics(metrics.registry), alarms, tell, stack)
            database = parts.databases[LaneName.LIVE]
        else:
            database = open_database(settings, store, stack, DatabaseMetrics(metrics.registry))
        headroom = Headroom(store)
        health = _health(settings, store, database, alarms, stack)
        health.degrade_while(headroom.is_short)
        health.degrade_while(_watch_unread(settings, store, stack))
        yield Web(
            webhook=_webhook(settings, store, headroom, metrics, tell, alarms, stack),
            health=health,
            figures=Figures(store, (LIVE, gate_lane(settings.release)), FigureMetrics(metrics.registry)),
            store=store,
            gate=gate_lane(settings.release),
            draining=draining,
            inngest=InngestState(bool(settings.inngest_event_key), bool(settings.inngest_signing_key)),
            metrics=metrics,
            alarms=alarms,
            log=structlog.get_logger(),
            inngest_calls=_inngest_calls(settings, parts, stack) if parts else None,
        )


def _inngest_calls(settings: WebSettings, parts: Parts, stack: AsyncExitStack) -> ASGIApp:
    consumer = consumer_name("web", settings)
    inbox = inbox_of(settings, parts.store, consumer)
    answering = open_answering(settings, inbox, parts, stack)
    hands = Hands(parts.store, consumer, lease_s=settings.lease_s)
    return inngest_wiring.endpoint(settings, hands, answering, parts.metrics.registry, parts.alarms)


def _webhook(
    settings: WebSettings,
    store: Store,
    headroom: Headroom,
    metrics: WebMetrics,
    tell: Tell,
    alarms: Alarms,
    stack: AsyncExitStack,
) -> Webhook:
    secret = plain(settings.waha_webhook_secret)
    retired = plain(settings.waha_webhook_secret_previous).splitlines()
    admissions = {
        lane.name: StreamAdmission(
            lane,
            store,
            headroom,
            per_minute=settings.rate_limit_per_minute if lane is LIVE else GATE_RATE_PER_MINUTE,
            max_length=settings.max_stream_length,
        )
        for lane in (LIVE, gate_lane(settings.release))
    }
    assert settings.webhook_tolerance_s is not None  # its validator derives it
    return Webhook(
        secrets=Secrets([part.encode() for part in (secret, *retired) if part]),
        limits=Limits(settings.max_body_bytes, settings.body_timeout_s, settings.webhook_tolerance_s),
        admissions=admissions,
        blocklist=_open_blocklist(settings, store, stack),
        sessions=Sessions(store),
        tenants=Tenants(store),
        receipts=open_receipts(settings, store),
        trust_proxy=settings.trust_proxy,
        pseudonyms=Pseudonyms(plain(settings.pseudonym_key) or secret),
        metrics=metrics,
        alarms=alarms,
        tell=tell,
        log=structlog.get_logger(),
    )


def _watch_unread(settings: WebSettings, store: Store, stack: AsyncExitStack) -> Callable[[], bool]:
    """Whether live messages wait and no worker takes any."""
    retry = RetryPolicy(settings.retry_base_s, settings.retry_cap_s)
    unread = UnreadWatch(structlog.get_logger(), longest_rest_s=settings.lease_s + retry.longest_s)
    watching = asyncio.create_task(unread.watch_forever(store))
    stack.callback(watching.cancel)
    return lambda: unread.is_stalled


def _open_blocklist(settings: WebSettings, store: Store, stack: AsyncExitStack) -> Blocklist:
    blocklist = Blocklist(refresh_s=settings.blocklist_refresh_s, log=structlog.get_logger())
    refreshing = asyncio.create_task(blocklist.refresh_forever(store))
    stack.callback(refreshing.cancel)
    return blocklist


def _health(
    settings: WebSettings, store: Store, database: Database, alarms: Alarms, stack: AsyncExitStack
) -> Health:
    """The registry, in the order of the runbook's report."""
    health = Health(structlog.get_logger(), alarms)
    health.probe(
        "database",
        database.ping,
        critical=True,
        failure_message="Failed to query database",
        alarm=Alarm.DATABASE_DOWN,
    )
    health.probe("redis", partial(store.call, "PING"), critical=True)
    health.declare("inngest", configured(settings.inngest_event_key, settings.inngest_signing_key))
    add_sentry(health, plain(settings.sentry_dsn))
    health.declare("email", configured(settings.resend_api_key, settings.email_from))
    if settings.waha_api_url:
        waha = open_http(stack, settings.waha_api_url, waha_headers(settings), timeout_s=2)
        # It wants the key, as sending does, and costs WAHA nothing. `/ping` is for everybody.
        health.probe(
            "waha", http_probe(waha, "/api/server/version"), critical=True, alarm=Alarm.WAHA_UNREACHABLE
        )
    else:
        health.declare("waha", State.NOT_CONFIGURED, critical=True)
    return health
