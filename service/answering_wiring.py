"""Builds what answers messages: for the worker, and for the web where Inngest calls it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from service.alarms import Alarms
from service.answering import Answering, Patience
from service.billing import Billing
from service.database import Database
from service.desk import Desk
from service.inbox import Inbox
from service.lanes import LIVE, Lane, LaneName, gate_lane
from service.logs import Pseudonyms, Tell
from service.mail import Mailer
from service.messenger import Messenger, NoWaha, Sink
from service.metrics import WorkerMetrics
from service.notices import Notices, TenantNames
from service.receipts import Receipts
from service.replies import RecordedReplies
from service.report import Report
from service.settings import AnsweringSettings, Settings
from service.store import Store
from service.unsettled import Unsettled
from service.waha import Waha, waha_session
from service.writer import Acknowledgement, Model, Writer, model_session


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
        writer=_writer(settings, parts.metrics, stack),
        desks=_desks(settings, parts, stack),
        patience=Patience(settings.max_attempts, settings.answer_max_age_s),
        notices=Notices(parts.store, live_database, parts.mailer, names, log),
        report=Report(parts.metrics, names, parts.tell, log),
    )


def open_receipts(settings: Settings, store: Store) -> Receipts:
    """The live lane's proofs: the web notes them, whoever answers looks for them."""
    return Receipts(store, LIVE, shared_secret(settings))


def shared_secret(settings: Settings) -> str:
    """What keys the digests that all processes must come to alike."""
    return _plain(settings.pseudonym_key) or _plain(settings.waha_api_key)


def _desks(settings: AnsweringSettings, parts: Parts, stack: AsyncExitStack) -> dict[LaneName, Desk]:
    gate = gate_lane(settings.release)
    sink = Sink(RecordedReplies(parts.store, gate))
    return {
        LaneName.LIVE: _desk(LIVE, _waha(settings, parts, stack), settings, parts),
        LaneName.GATE: _desk(gate, sink, settings, parts),
    }


def _desk(lane: Lane, messenger: Messenger, settings: Settings, parts: Parts) -> Desk:
    database, unsettled = parts.databases[lane.name], Unsettled(parts.store, lane)
    billing = Billing(lane.name, database, unsettled, parts.metrics, parts.alarms)
    return Desk(messenger, billing, Receipts(parts.store, lane, shared_secret(settings)))


def _writer(settings: AnsweringSettings, metrics: WorkerMetrics, stack: AsyncExitStack) -> Writer:
    if not settings.ai_api_url:
        return Acknowledgement()
    http = model_session(settings.ai_api_url, _plain(settings.ai_api_key))
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
    http = waha_session(settings.waha_api_url, _plain(settings.waha_api_key), connect_timeout_s=timeout_s)
    stack.push_async_callback(http.close)
    return Waha(
        http,
        timeout_s=timeout_s,
        is_polite=settings.waha_typing,
        metrics=parts.metrics.outbound,
        alarms=parts.alarms,
    )


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
