"""What the tests of the operator's commands share: messages that were given up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from contracts.webhook import encode, message_event
from service.accounts.database import DatabaseFailed, MessageRecord, Reservation, Tenant
from service.lanes import LIVE
from service.storage.redis_store import RedisStore
from service.storage.store import Argument, Store

SECRET_TEXT = "nobody may read this"
NUMBER = "15551234567"


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Store]:
    """A store on the Redis at *url*."""
    store = RedisStore(url, timeout_s=30)
    try:
        yield store
    finally:
        await store.aclose()


async def give_up(store: Store, stream: str, *chats: str, **more: Argument) -> list[str]:
    """Put the record of a message of each of *chats* on *stream*; their ids."""
    return [(await store.call(*_command(stream, chat, more))).decode() for chat in chats]


def _command(stream: str, chat: str, more: dict[str, Argument]) -> list[Argument]:
    now_ms = time.time_ns() // 1_000_000
    fields: dict[str, Argument] = {
        "event": encode(message_event(SECRET_TEXT, chat_id=f"{NUMBER}@c.us")),
        "requestId": f"request-of-{chat}",
        "lane": "live",
        "received": now_ms - 60_000,
        "chat": chat,
        "entry": "1-1",
        "reason": "WAHA refused: HTTP 500",
        "attempts": 10,
        "ended": now_ms,
        **more,
    }
    return ["XADD", stream, "*", *(part for pair in fields.items() for part in pair)]


async def entries(store: Store, stream: str = LIVE.stream) -> list[dict[str, str]]:
    """The fields of the stream's entries, oldest first; `_id` is the entry's."""
    found = await store.call("XRANGE", stream, "-", "+")
    return [{"_id": entry_id.decode(), **_fields(parts)} for entry_id, parts in found]


def _fields(parts: list[bytes]) -> dict[str, str]:
    texts = [part.decode() for part in parts]
    return dict(zip(texts[::2], texts[1::2], strict=True))


@dataclass
class FakeDatabase:
    """Keeps accounts in a dictionary, what was settled in a list; settles no more than *fails_at*."""

    accounts: dict[str, Tenant] = field(default_factory=dict)
    settled: list[MessageRecord] = field(default_factory=list)
    fails_at: int | None = None

    async def ping(self) -> None:
        return None

    async def reserve(self, tenant: str, message: str) -> Reservation:
        return Reservation.RESERVED

    async def settle(self, record: MessageRecord) -> None:
        if self.fails_at is not None and len(self.settled) >= self.fails_at:
            raise DatabaseFailed("it is away")
        self.settled.append(record)

    async def tenant(self, tenant: str) -> Tenant | None:
        return self.accounts.get(tenant)

    async def tenants(self) -> list[Tenant]:
        return [self.accounts[name] for name in sorted(self.accounts)]

    async def save_tenant(
        self,
        tenant: str,
        *,
        credits: int | None,  # noqa: A002 - the port's word
        owner_email: str | None,
    ) -> Tenant:
        before = self.accounts.get(tenant)
        reserved, used = (before.reserved, before.used) if before else (0, 0)
        self.accounts[tenant] = Tenant(tenant, credits, reserved, used, owner_email)
        return self.accounts[tenant]
