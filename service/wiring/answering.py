"""Builds what answers messages: for the worker, and for the web where Inngest calls it."""

from __future__ import annotations

import secrets
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from service.accounts.database import Database
from service.accounts.measured_database import DatabaseMetrics
from service.lanes import LIVE, Lane, LaneName, gate_lane
from service.messages.answering import Answering, Patience
from service.messages.billing import Billing
from service.messages.desk import Desk
from service.messages.first_sends import FirstSends
from service.messages.inbox import Inbox, RetryPolicy
from service.messages.messenger import Messenger, NoWaha, Sink
from service.messages.notices import Notices, TenantNames
from service.messages.receipts import Receipts
from service.messages.replies import RecordedReplies
from service.messages.report import Report
from service.messages.unsettled import Unsettled
from service.messages.waha import Waha, waha_session
from service.messages.writer import Acknowledgement, GateWriter, Model, Writer, model_session
from service.settings import AnsweringSettings, Settings
from service.storage.store import Store
from service.telemetry.alarms import Alarms
from service.telemetry.logs import Pseudonyms, Tell
from service.telemetry.mail import Mailer
from service.telemetry.metrics import WorkerMetrics
from service.wiring.outside import gate_database, open_database, open_mailer, plain


@dataclass(frozen=True)
class Parts:
    """What is opened by the process. `databases`: each lane's."""

    store: Store
    databases: dict[LaneName, Database]
    mailer: Mailer
    metrics: WorkerMetrics
    alarms: Alarms
    tell: Tell


def open_answering(
    settings: AnsweringSettings, inbox: Inbox, parts: Parts, stack: AsyncExitStack
) -> Answering:
    """What answers the entries of *inbox*. Within a running loop only."""
    names = TenantNames(Pseudonyms(shared_secret(settings)))
    log = structlog.get_logger()
    live_database = parts.databases[LaneName.LIVE]
    return Answering(
        inbox=inbox,
        desks=_desks(settings, parts, stack),
        patience=Patience(settings.max_attempts, settings.answer_max_age_s),
        notices=Notices(parts.store, live_database, parts.mailer, names, log),
        report=Report(parts.metrics, names, parts.tell, log),
        first_sends=FirstSends(parts.metrics),
    )


def open_parts(
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
        mailer=open_mailer(settings, stack, metrics.outbound),
        metrics=metrics,
        alarms=alarms,
        tell=tell,
    )


def inbox_of(settings: AnsweringSettings, store: Store, consumer: str) -> Inbox:
    """The streams as *consumer* sees them."""
    retry = RetryPolicy(settings.retry_base_s, settings.retry_cap_s)
    return Inbox(store, consumer, lease_s=settings.lease_s, retry=retry)


def consumer_name(process: str, settings: Settings) -> str:
    """The name by which this process, and none before or beside it, holds messages."""
    return f"{process}:{settings.release}:{socket.gethostname()}:{secrets.token_hex(4)}"


def open_receipts(settings: Settings, store: Store) -> Receipts:
    """The live lane's proofs: the web notes them, whoever answers looks for them."""
    return Receipts(store, LIVE, shared_secret(settings))


def shared_secret(settings: Settings) -> str:
    """What keys the digests that all processes must come to alike."""
    return plain(settings.pseudonym_key) or plain(settings.waha_api_key)


def _desks(settings: AnsweringSettings, parts: Parts, stack: AsyncExitStack) -> dict[LaneName, Desk]:
    gate = gate_lane(settings.release)
    sink = Sink(RecordedReplies(parts.store, gate))
    writer = _writer(settings, parts.metrics, stack)
    gate_writer = GateWriter(writer, delay_s=settings.gate_reply_delay_ms / 1000)
    return {
        LaneName.LIVE: _desk(LIVE, writer, _waha(settings, parts, stack), settings, parts),
        LaneName.GATE: _desk(gate, gate_writer, sink, settings, parts),
    }


def _desk(lane: Lane, writer: Writer, messenger: Messenger, settings: Settings, parts: Parts) -> Desk:
    database, unsettled = parts.databases[lane.name], Unsettled(parts.store, lane)
    billing = Billing(lane.name, database, unsettled, parts.metrics, parts.alarms)
    return Desk(writer, messenger, billing, Receipts(parts.store, lane, shared_secret(settings)))


def _writer(settings: AnsweringSettings, metrics: WorkerMetrics, stack: AsyncExitStack) -> Writer:
    if not settings.ai_api_url:
        return Acknowledgement()
    http = model_session(settings.ai_api_url, plain(settings.ai_api_key))
    stack.push_async_callback(http.close)
    return Model(
        http,
        model=settings.ai_model,
        timeout_s=settings.ai_timeout_s,
        metrics=metrics,
        log=structlog.get_logger(),
    )


def _waha(settings: AnsweringSettings, parts: Parts, stack: AsyncExitStack) -> Messenger:
    if not settings.waha_api_url:
        return NoWaha()
    timeout_s = settings.waha_timeout_s
    http = waha_session(settings.waha_api_url, plain(settings.waha_api_key), connect_timeout_s=timeout_s)
    stack.push_async_callback(http.close)
    return Waha(
        http,
        timeout_s=timeout_s,
        write_timeout_s=settings.ai_timeout_s,
        is_polite=settings.waha_typing,
        metrics=parts.metrics.outbound,
        alarms=parts.alarms,
    )
