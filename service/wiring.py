"""The composition root: opens what a process needs, builds it from its settings, and closes it again."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import structlog
from pydantic import SecretStr
from starlette.types import ASGIApp

from service import inngest_wiring
from service.admission import StreamAdmission
from service.alarms import Alarm, Alarms
from service.answering import Answering
from service.answering_wiring import Parts, open_answering, open_receipts
from service.blocklist import Blocklist
from service.chats import Chats
from service.convex_database import ConvexDatabase, convex_session
from service.database import Database
from service.figures import FigureMetrics, Figures, Tenants
from service.headroom import Headroom
from service.health import Health, State
from service.inbox import Inbox, RetryPolicy
from service.inngest_custody import Hands
from service.inngest_forwarding import Forwarding
from service.inngest_wiring import EVENT_TIMEOUT_S
from service.lanes import LIVE, LaneName, gate_lane
from service.logs import Pseudonyms, Tell
from service.mail import Mailer, NoMailer
from service.measured_database import DatabaseMetrics, MeasuredDatabase
from service.measured_store import MeasuredStore, StoreMetrics
from service.metrics import WebMetrics, WorkerMetrics, new_registry
from service.middleware import Stopwatch
from service.probes import add_sentry, configured, http_probe
from service.reconciling import Reconciler
from service.redis_database import RedisDatabase
from service.redis_store import RedisStore
from service.resend import ATTEMPT_S, Resend
from service.sentry import SentryOptions, open_alarms
from service.settings import AnsweringSettings, Settings, WebSettings, WorkerSettings
from service.signature import Secrets
from service.silence import ASK_S, Sessions, SilenceWatch
from service.store import Store
from service.upstash_store import UpstashStore
from service.waha import CONNECT_TIMEOUT_S, KEEP_IDLE_S
from service.web import PATHS, Draining, InngestState, Web
from service.webhook import Limits, Webhook
from service.worker import Worker


@asynccontextmanager
async def open_web(settings: WebSettings, draining: Draining, tell: Tell) -> AsyncIterator[Web]:
    """The web application and all it uses. Connects later: it starts while Redis is away."""
    async with AsyncExitStack() as stack:
        metrics = WebMetrics(new_registry())
        alarms = await _open_alarms(settings, "web", stack)
        inngest_wiring.warn_of_inngest(settings, structlog.get_logger())
        store = open_store(settings, stack, StoreMetrics(metrics.registry))
        parts = None
        if inngest_wiring.runs_by_inngest(settings):
            parts = _open_parts(settings, store, WorkerMetrics(metrics.registry), alarms, tell, stack)
            database = parts.databases[LaneName.LIVE]
        else:
            database = open_database(settings, store, stack, DatabaseMetrics(metrics.registry))
        yield Web(
            webhook=_webhook(settings, store, metrics, tell, alarms, stack),
            health=_health(settings, store, database, alarms, stack),
            figures=Figures(store, (LIVE, gate_lane(settings.release)), FigureMetrics(metrics.registry)),
            store=store,
            gate=gate_lane(settings.release),
            draining=draining,
            inngest=InngestState(bool(settings.inngest_event_key), bool(settings.inngest_signing_key)),
            metrics=metrics,
            stopwatch=Stopwatch(PATHS, metrics, structlog.get_logger(), alarms),
            log=structlog.get_logger(),
            inngest_calls=_inngest_calls(settings, parts, stack) if parts else None,
        )


@asynccontextmanager
async def open_worker(settings: WorkerSettings, tell: Tell) -> AsyncIterator[Worker]:
    """The worker and all it uses."""
    async with AsyncExitStack() as stack:
        metrics = WorkerMetrics(new_registry())
        alarms = await _open_alarms(settings, "worker", stack)
        store = open_store(settings, stack, StoreMetrics(metrics.registry))
        inngest_wiring.warn_of_inngest(settings, structlog.get_logger())
        consumer = _consumer("worker", settings)
        inbox = _inbox(settings, store, consumer)
        answering = open_answering(
            settings, inbox, _open_parts(settings, store, metrics, alarms, tell, stack), stack
        )
        handle = answering.handle
        if inngest_wiring.runs_by_inngest(settings):
            handle = _forwarding(settings, store, consumer, answering, stack).handle
        yield Worker(
            store=store,
            inbox=inbox,
            chats=Chats(handle, concurrency=settings.concurrency),
            silence=_silence(settings, store, metrics, stack),
            reconciler=Reconciler(store, answering.desks, answering.report, structlog.get_logger()),
            release=settings.release,
            gate=gate_lane(settings.release),
            lease_s=settings.lease_s,
            stop_grace_s=settings.stop_grace_s,
            heartbeat_file=settings.heartbeat_file,
            metrics=metrics,
            log=structlog.get_logger(),
        )


async def _open_alarms(settings: Settings, process: str, stack: AsyncExitStack) -> Alarms:
    """Opened first, and so closed last: what ends the process is told of."""
    options = SentryOptions(
        dsn=_plain(settings.sentry_dsn),
        release=settings.release,
        environment=settings.sentry_environment,
        process=process,
        signature_failures_per_minute=settings.signature_alarm_per_minute,
    )
    return await stack.enter_async_context(open_alarms(options, structlog.get_logger()))


def _consumer(process: str, settings: Settings) -> str:
    """The name by which this process, and none before or beside it, holds messages."""
    return f"{process}:{settings.release}:{socket.gethostname()}:{secrets.token_hex(4)}"


def _open_parts(
    settings: Settings,
    store: Store,
    metrics: WorkerMetrics,
    alarms: Alarms,
    tell: Tell,
    stack: AsyncExitStack,
) -> Parts:
    """What answering is built on, in either process."""
    database_metrics = DatabaseMetrics(metrics.registry)
    return Parts(
        store=store,
        databases={
            LaneName.LIVE: open_database(settings, store, stack, database_metrics),
            LaneName.GATE: gate_database(settings, store, database_metrics),
        },
        mailer=open_mailer(settings, stack),
        metrics=metrics,
        alarms=alarms,
        tell=tell,
    )


def _forwarding(
    settings: WorkerSettings, store: Store, consumer: str, answering: Answering, stack: AsyncExitStack
) -> Forwarding:
    client = _open_http(stack, inngest_wiring.event_api_url(settings), {}, timeout_s=EVENT_TIMEOUT_S)
    hands = Hands(store, consumer, lease_s=settings.lease_s)
    registry = answering.report.metrics.registry
    return inngest_wiring.forwarding(settings, client, hands, answering, registry)


def _inngest_calls(settings: WebSettings, parts: Parts, stack: AsyncExitStack) -> ASGIApp:
    consumer = _consumer("web", settings)
    inbox = _inbox(settings, parts.store, consumer)
    answering = open_answering(settings, inbox, parts, stack)
    hands = Hands(parts.store, consumer, lease_s=settings.lease_s)
    return inngest_wiring.endpoint(settings, hands, answering, parts.metrics.registry, parts.alarms)


def _inbox(settings: AnsweringSettings, store: Store, consumer: str) -> Inbox:
    retry = RetryPolicy(settings.retry_base_s, settings.retry_cap_s)
    return Inbox(store, consumer, lease_s=settings.lease_s, retry=retry)


def open_mailer(settings: Settings, stack: AsyncExitStack) -> Mailer:
    """Resend, where a key and a sender are given."""
    if not (settings.resend_api_key and settings.email_from):
        return NoMailer(structlog.get_logger())
    headers = {"Authorization": f"Bearer {_plain(settings.resend_api_key)}"}
    client = _open_http(stack, settings.resend_api_url, headers, timeout_s=ATTEMPT_S)
    return Resend(client, sender=settings.email_from, log=structlog.get_logger())


def open_store(settings: Settings, stack: AsyncExitStack, metrics: StoreMetrics | None = None) -> Store:
    """Redis, whichever way the settings say, measured by *metrics*; it connects when it is first used."""
    url, timeout_s = settings.redis_url, settings.redis_timeout_s
    store: Store
    if url:
        store = redis = RedisStore(url.get_secret_value(), timeout_s=timeout_s)
        if metrics:
            metrics.connections.set_function(redis.open_connections)
    else:
        assert settings.upstash_redis_rest_url  # the settings are refused where neither is given
        token = _plain(settings.upstash_redis_rest_token)
        store = UpstashStore(settings.upstash_redis_rest_url, token, timeout_s=timeout_s)
    stack.push_async_callback(store.aclose)
    return MeasuredStore(store, metrics) if metrics else store


def open_database(
    settings: Settings, store: Store, stack: AsyncExitStack, metrics: DatabaseMetrics
) -> Database:
    """The live lane's database: Convex where it is configured, else Redis."""
    database: Database
    if settings.next_public_convex_url:
        http = convex_session(settings.next_public_convex_url, _plain(settings.convex_deploy_key))
        stack.push_async_callback(http.close)
        database = ConvexDatabase(http, settings.billing_credits, timeout_s=settings.database_timeout_s)
    else:
        database = RedisDatabase(store, LIVE.prefix, settings.billing_credits)
    return MeasuredDatabase(database, metrics, structlog.get_logger(), slow_ms=settings.database_slow_ms)


def gate_database(settings: Settings, store: Store, metrics: DatabaseMetrics) -> Database:
    """The gate lane's database: always Redis, expiring, and without limit, so that a gate costs no tenant."""
    lane = gate_lane(settings.release)
    database = RedisDatabase(store, lane.prefix, None, life_s=lane.lane_ttl_s)
    return MeasuredDatabase(database, metrics, structlog.get_logger(), slow_ms=settings.database_slow_ms)


def _open_http(
    stack: AsyncExitStack, base_url: str, headers: dict[str, str], *, timeout_s: float
) -> httpx.AsyncClient:
    client = httpx.AsyncClient(
        base_url=base_url,
        headers=headers,
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        limits=httpx.Limits(keepalive_expiry=KEEP_IDLE_S),
        trust_env=False,  # the settings say everything
    )
    stack.push_async_callback(client.aclose)
    return client


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _waha_headers(settings: Settings) -> dict[str, str]:
    return {"X-Api-Key": _plain(settings.waha_api_key)} if settings.waha_api_key else {}


def _webhook(
    settings: WebSettings,
    store: Store,
    metrics: WebMetrics,
    tell: Tell,
    alarms: Alarms,
    stack: AsyncExitStack,
) -> Webhook:
    secret = _plain(settings.waha_webhook_secret)
    retired = _plain(settings.waha_webhook_secret_previous).splitlines()
    headroom = Headroom(store)
    admissions = {
        lane.name: StreamAdmission(
            lane,
            store,
            headroom,
            per_minute=settings.rate_limit_per_minute,
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
        pseudonyms=Pseudonyms(_plain(settings.pseudonym_key) or secret),
        metrics=metrics,
        alarms=alarms,
        tell=tell,
        log=structlog.get_logger(),
    )


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
    add_sentry(health, _plain(settings.sentry_dsn))
    health.declare("email", configured(settings.resend_api_key, settings.email_from))
    if settings.waha_api_url:
        waha = _open_http(stack, settings.waha_api_url, _waha_headers(settings), timeout_s=2)
        health.probe("waha", http_probe(waha, "/ping"), critical=True, alarm=Alarm.WAHA_UNREACHABLE)
    else:
        health.declare("waha", State.NOT_CONFIGURED, critical=True)
    return health


def _silence(
    settings: WorkerSettings, store: Store, metrics: WorkerMetrics, stack: AsyncExitStack
) -> SilenceWatch:
    waha = None
    if settings.waha_api_url:
        waha = _open_http(stack, settings.waha_api_url, _waha_headers(settings), timeout_s=ASK_S)
    return SilenceWatch(
        store,
        waha,
        after_s=settings.silent_after_s,
        silent=metrics.silent_sessions,
        log=structlog.get_logger(),
    )
