"""What the operator's commands work with, opened from the settings of the process they run beside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from service.accounts.database import Database
from service.accounts.measured_database import DatabaseMetrics
from service.settings import Settings
from service.storage.store import Store
from service.telemetry.mail import Mailer
from service.wiring.outside import open_database, open_mailer, open_store


@dataclass(frozen=True)
class Tools:
    """Settings, and what they lead to: each connects when it is first used."""

    settings: Settings
    store: Store
    database: Database
    mailer: Mailer


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Tools]:
    """The tools, until the command has ended."""
    async with AsyncExitStack() as stack:
        store = open_store(settings, stack)
        metrics = DatabaseMetrics(CollectorRegistry())  # nobody scrapes a command
        database = open_database(settings, store, stack, metrics)
        yield Tools(settings, store, database, open_mailer(settings, stack))
