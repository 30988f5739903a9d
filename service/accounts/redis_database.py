"""The database on Redis, where no Convex is configured: accounts, a ledger, and the latest entries of a log.

Keys, under the prefix of a lane:

    :tenant:{id}      the account: credits, used, owner
    :held:{id}        messages that hold one of its credits, by when that lapses
    :tenants          the ids of all accounts
    :known:…          how messages ended, beside whether they were taken (`lua/known.lua`)
    :log              a stream of the latest messages and replies, with their texts

A message is remembered for three days, above the two for which WAHA may send it again. So a credit that is
held for an unknown outcome comes back to the tenant after three days, if nobody found out what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from service.accounts.database import DatabaseFailed, MessageRecord, Reservation, Tenant
from service.storage.known import REMEMBERED_S, known_name, known_period_s
from service.storage.store import Argument, Script, Store, StoreError

LOG_LENGTH = 1_000
LOGGED_CHARACTERS = 1_000
"""Texts are cut to this length: with `LOG_LENGTH` it bounds the log to 2 MB of ASCII, 8 MB of anything."""

_RESERVE, _SETTLE = (Script.load(name, "known") for name in ("reserve", "settle"))
_ACCOUNT, _SAVE = map(Script.load, ("account", "save_tenant"))


class RedisDatabase:
    """See `Database`. All keys expire *life_s* after their last change; 0: only what is remembered does."""

    def __init__(self, store: Store, prefix: str, starting_credits: int | None, *, life_s: int = 0) -> None:
        self._store = store
        self._prefix = prefix
        self._starting = "" if starting_credits is None else starting_credits
        self._life_s = life_s
        self._hold_s = min(life_s, REMEMBERED_S) if life_s else REMEMBERED_S

    async def ping(self) -> None:
        """See `Database.ping`."""
        try:
            await self._store.call("PING")
        except StoreError as error:
            raise _failed(error) from error

    async def reserve(self, tenant: str, message: str) -> Reservation:
        """See `Database.reserve`."""
        keys = [self._key("known"), *self._account(tenant), self._key("tenants")]
        answer = await self._run(_RESERVE, keys, self._about(tenant, message))
        return Reservation(answer.decode())

    async def settle(self, record: MessageRecord) -> None:
        """See `Database.settle`."""
        keys = [
            self._key("known"),
            *self._account(record.tenant),
            self._key("tenants"),
            self._key("log"),
        ]
        about = self._about(record.tenant, record.identity)
        await self._run(_SETTLE, keys, [*about, record.outcome.value, LOG_LENGTH, *_log_fields(record)])

    async def tenant(self, tenant: str) -> Tenant | None:
        """See `Database.tenant`."""
        account = await self._run(_ACCOUNT, self._account(tenant), [])
        return _tenant(tenant, account) if account else None

    async def tenants(self) -> list[Tenant]:
        """See `Database.tenants`."""
        try:
            ids = await self._store.call("SMEMBERS", self._key("tenants"))
        except StoreError as error:
            raise _failed(error) from error
        accounts = await asyncio.gather(
            *(self.tenant(name) for name in sorted(known.decode() for known in ids))
        )
        return [account for account in accounts if account]

    async def save_tenant(
        self,
        tenant: str,
        *,
        credits: int | None,  # noqa: A002 - see `Database.save_tenant`
        owner_email: str | None,
    ) -> Tenant:
        """See `Database.save_tenant`."""
        account, held = self._account(tenant)
        values = (tenant, "" if credits is None else credits, owner_email or "", self._life_s)
        await self._run(_SAVE, [account, self._key("tenants")], values)
        return _tenant(tenant, await self._run(_ACCOUNT, [account, held], []))

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        try:
            return await self._store.run(script, keys, arguments)
        except StoreError as error:
            raise _failed(error) from error

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def _about(self, tenant: str, message: str) -> list[Argument]:
        lives = (self._hold_s, self._life_s, known_period_s(self._life_s))
        return [tenant, message, self._starting, *lives, known_name(message)]

    def _account(self, tenant: str) -> tuple[str, str]:
        """The keys of the account and of what it holds."""
        return self._key("tenant", tenant), self._key("held", tenant)


def _failed(error: StoreError) -> DatabaseFailed:
    return DatabaseFailed(f"Redis: {type(error).__name__}: {error}")


def _tenant(tenant: str, account: list[Any]) -> Tenant:
    credits_, reserved, used, owner = account
    return Tenant(
        id=tenant,
        credits=int(credits_) if credits_ else None,
        reserved=int(reserved),
        used=int(used),
        owner_email=owner.decode() or None,
    )


def _log_fields(record: MessageRecord) -> list[Argument]:
    """The log's entry: field and value by turns."""
    entry: dict[str, Argument] = {
        "message": record.identity,
        "tenant": record.tenant,
        "session": record.session,
        "chatId": record.chat_id,
        "payloadId": record.payload_id,
        "text": _logged(record.text),
        "reply": _logged(record.reply),
        "outcome": record.outcome.value,
        "received": record.received_ms,
        "ended": record.ended_ms,
    }
    return [part for pair in entry.items() for part in pair]


def _logged(text: str) -> bytes:
    """What the log keeps of a text; a model may answer lone surrogates, which UTF-8 cannot hold."""
    return text[:LOGGED_CHARACTERS].encode(errors="replace")
