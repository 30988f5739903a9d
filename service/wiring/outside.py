"""Opens what lies outside of the process: Redis, the database, mail, Sentry, HTTP clients."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx
import structlog
from pydantic import SecretStr

from service.accounts.convex_database import ConvexDatabase, convex_session
from service.accounts.database import Database
from service.accounts.measured_database import DatabaseMetrics, MeasuredDatabase
from service.accounts.redis_database import RedisDatabase
from service.lanes import LIVE, gate_lane
from service.messages.measured_mail import MeasuredMailer
from service.messages.outbound import OutboundMetrics
from service.messages.waha import CONNECT_TIMEOUT_S, KEEP_IDLE_S
from service.settings import Settings
from service.storage.measured_store import MeasuredStore, StoreMetrics
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.storage.upstash_store import UpstashStore
from service.telemetry.alarms import Alarms
from service.telemetry.mail import Mailer, NoMailer
from service.telemetry.resend import ATTEMPT_S, Resend
from service.telemetry.sentry import SentryOptions, open_alarms


async def open_alarms_of(settings: Settings, process: str, stack: AsyncExitStack) -> Alarms:
    """Opened first, and so closed last: what ends the process is told of."""
    options = SentryOptions(
        dsn=plain(settings.sentry_dsn),
        release=settings.release,
        environment=settings.sentry_environment,
        process=process,
        signature_failures_per_minute=settings.signature_alarm_per_minute,
    )
    return await stack.enter_async_context(open_alarms(options, structlog.get_logger()))


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
        token = plain(settings.upstash_redis_rest_token)
        store = UpstashStore(settings.upstash_redis_rest_url, token, timeout_s=timeout_s)
    stack.push_async_callback(store.aclose)
    return MeasuredStore(store, metrics) if metrics else store


def open_database(
    settings: Settings, store: Store, stack: AsyncExitStack, metrics: DatabaseMetrics
) -> Database:
    """The live lane's database: Convex where it is configured, else Redis."""
    database: Database
    if settings.next_public_convex_url:
        http = convex_session(settings.next_public_convex_url, plain(settings.convex_deploy_key))
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


def open_mailer(settings: Settings, stack: AsyncExitStack, metrics: OutboundMetrics | None = None) -> Mailer:
    """Resend, where a key and a sender are given, measured by *metrics*."""
    if not (settings.resend_api_key and settings.email_from):
        return NoMailer(structlog.get_logger())
    headers = {"Authorization": f"Bearer {plain(settings.resend_api_key)}"}
    client = open_http(stack, settings.resend_api_url, headers, timeout_s=ATTEMPT_S)
    resend = Resend(client, sender=settings.email_from, log=structlog.get_logger())
    return MeasuredMailer(resend, metrics) if metrics else resend


def open_http(
    stack: AsyncExitStack, base_url: str, headers: dict[str, str], *, timeout_s: float
) -> httpx.AsyncClient:
    """A client of one outside service, with *timeout_s* for each step of a call."""
    client = httpx.AsyncClient(
        base_url=base_url,
        headers=headers,
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        limits=httpx.Limits(keepalive_expiry=KEEP_IDLE_S),
        trust_env=False,  # the settings say everything
    )
    stack.push_async_callback(client.aclose)
    return client


def waha_headers(settings: Settings) -> dict[str, str]:
    """What WAHA wants of each call."""
    return {"X-Api-Key": plain(settings.waha_api_key)} if settings.waha_api_key else {}


def plain(secret: SecretStr | None) -> str:
    """A secret's value, empty where it is not set."""
    return secret.get_secret_value() if secret else ""
