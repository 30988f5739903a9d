"""Builds the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from service.by_inngest.custody import Hands
from service.by_inngest.forwarding import Forwarding
from service.lanes import gate_lane
from service.messages.answering import Answering
from service.messages.chats import Chats
from service.messages.live_release import LiveRelease
from service.messages.reconciling import Reconciler
from service.messages.worker import Worker
from service.settings import WorkerSettings
from service.storage.measured_store import StoreMetrics
from service.storage.store import Store
from service.telemetry.logs import Tell
from service.telemetry.metrics import WorkerMetrics, new_registry
from service.telemetry.silence import ASK_S, SilenceWatch
from service.wiring import inngest as inngest_wiring
from service.wiring.answering import consumer_name, inbox_of, open_answering, open_parts
from service.wiring.inngest import EVENT_TIMEOUT_S
from service.wiring.outside import open_alarms_of, open_http, open_store, waha_headers


@asynccontextmanager
async def open_worker(settings: WorkerSettings, tell: Tell) -> AsyncIterator[Worker]:
    """The worker and all it uses."""
    async with AsyncExitStack() as stack:
        metrics = WorkerMetrics(new_registry())
        alarms = await open_alarms_of(settings, "worker", stack)
        store = open_store(settings, stack, StoreMetrics(metrics.registry))
        inngest_wiring.warn_of_inngest(settings, structlog.get_logger())
        consumer = consumer_name("worker", settings)
        inbox = inbox_of(settings, store, consumer)
        answering = open_answering(
            settings, inbox, open_parts(settings, store, metrics, alarms, tell, stack), stack
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
            live_release=LiveRelease(
                settings.live_release_url, settings.release, metrics=metrics, log=structlog.get_logger()
            ),
            release=settings.release,
            gate=gate_lane(settings.release),
            lease_s=settings.lease_s,
            stop_grace_s=settings.stop_grace_s,
            heartbeat_file=settings.heartbeat_file,
            metrics=metrics,
            log=structlog.get_logger(),
        )


def _forwarding(
    settings: WorkerSettings, store: Store, consumer: str, answering: Answering, stack: AsyncExitStack
) -> Forwarding:
    client = open_http(stack, inngest_wiring.event_api_url(settings), {}, timeout_s=EVENT_TIMEOUT_S)
    hands = Hands(store, consumer, lease_s=settings.lease_s)
    registry = answering.report.metrics.registry
    return inngest_wiring.forwarding(settings, client, hands, answering, registry)


def _silence(
    settings: WorkerSettings, store: Store, metrics: WorkerMetrics, stack: AsyncExitStack
) -> SilenceWatch:
    waha = None
    if settings.waha_api_url:
        waha = open_http(stack, settings.waha_api_url, waha_headers(settings), timeout_s=ASK_S)
    return SilenceWatch(
        store,
        waha,
        after_s=settings.silent_after_s,
        silent=metrics.silent_sessions,
        log=structlog.get_logger(),
    )
