"""The owner of a tenant without credit is told once a day, whatever else fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from answering_kit import FakeDatabase
from redis.asyncio import Redis
from service_kit import NO_REDIS, SECRET
from structlog.testing import LogCapture

from service.lanes import DAY_S
from service.messages.notices import AGAIN_S, Notices, TenantNames
from service.storage.redis_store import RedisStore
from service.storage.store import Store
from service.telemetry.logs import Pseudonyms
from service.telemetry.mail import Mail

pytestmark = pytest.mark.integration

CLAIM = "{wa}:notice:no-credit:acme"


@dataclass
class FakeMailer:
    """Takes mail, or does not."""

    takes: bool = True
    sent: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> bool:
        self.sent.append(mail)
        return self.takes


@dataclass
class Rig:
    """Notices with what the tests look at."""

    store: Store
    mailer: FakeMailer = field(default_factory=FakeMailer)
    database: FakeDatabase = field(default_factory=lambda: FakeDatabase([]))
    logs: LogCapture = field(default_factory=LogCapture)

    @property
    def notices(self) -> Notices:
        log: Any = structlog.wrap_logger(None, processors=[self.logs])
        names = TenantNames(Pseudonyms(SECRET))
        return Notices(self.store, self.database, self.mailer, names, log)  # type: ignore[arg-type]  # it has what is used


async def test_owner_is_told_once_a_day(store: Store, redis: Redis) -> None:
    """However many messages are refused at once, by however many workers."""
    rig = Rig(store)
    await asyncio.gather(*(rig.notices.no_credit("acme") for _ in range(20)))
    (mail,) = rig.mailer.sent
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert (mail.to, mail.idempotency_key) == ("owner@example.com", f"no-credit/acme/{today}")
    assert "acme" in mail.text
    assert DAY_S - 10 < await redis.ttl(CLAIM) <= DAY_S


async def test_each_tenant_has_its_own_notice(store: Store) -> None:
    """One tenant's notice is not another's; a key is fit for a header whatever the tenant is called."""
    rig = Rig(store)
    for tenant in ("acme", "ümlaut\u2603", "15551234567"):
        await rig.notices.no_credit(tenant)
    keys = [mail.idempotency_key for mail in rig.mailer.sent]
    assert len(set(keys)) == 3
    assert all(key.isascii() and "5551234" not in key for key in keys)


@pytest.mark.parametrize("fails", ["mailer", "database", "no address"])
async def test_notice_that_was_not_taken_is_tried_again(store: Store, redis: Redis, fails: str) -> None:
    """After some minutes, not for every message that comes meanwhile."""
    rig = Rig(store, FakeMailer(takes=fails != "mailer"))
    rig.database.down = {"tenant"} if fails == "database" else set()
    rig.database.owner_email = None if fails == "no address" else "owner@example.com"
    for _ in range(3):
        await rig.notices.no_credit("acme")
    assert len(rig.mailer.sent) == (1 if fails == "mailer" else 0)
    assert 0 < await redis.ttl(CLAIM) <= AGAIN_S


async def test_redis_away_is_no_ones_trouble() -> None:
    """Nothing is raised; the line has no address."""
    rig = Rig(RedisStore(NO_REDIS, timeout_s=0.5))
    await rig.notices.no_credit("acme")
    assert ([line["event"] for line in rig.logs.entries], rig.mailer.sent) == (["Notice was not sent"], [])
    await rig.store.aclose()
