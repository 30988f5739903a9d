"""What the operator's commands work with, opened from the settings of the process they run beside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from service.convex_database import ConvexDatabase, convex_session
from service.database import Database
from service.lanes import LIVE
from service.redis_database import RedisDatabase
from service.settings import Settings
from service.store import Store
from service.wiring import open_store


@dataclass(frozen=True)
class Tools:
    """Settings, Redis and the database. Both connect when they are first used."""

    settings: Settings
    store: Store
    database: Database


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Tools]:
    """The tools, until the command has ended."""
    async with AsyncExitStack() as stack:
        store = open_store(settings, stack)
        yield Tools(settings, store, await _open_database(settings, store, stack))


async def _open_database(settings: Settings, store: Store, stack: AsyncExitStack) -> Database:
    """Convex where it is configured, else the database on Redis."""
    if not settings.next_public_convex_url:
        return RedisDatabase(store, LIVE.prefix, settings.billing_credits)
    key = settings.convex_deploy_key
    http = convex_session(settings.next_public_convex_url, key.get_secret_value() if key else "")
    await stack.enter_async_context(http)
    return ConvexDatabase(http, settings.billing_credits, timeout_s=settings.database_timeout_s)
