"""What the owner of a tenant is told of: that its credits are used up, at most once a day."""

from __future__ import annotations

import re
import time

from service.accounts.database import Database, DatabaseFailed
from service.lanes import DAY_S, LIVE
from service.storage.store import Store, StoreError
from service.telemetry.logs import Log, Pseudonyms
from service.telemetry.mail import Mail, Mailer

AGAIN_S = 600
"""After this long a notice that nobody took is tried again; Resend knows one that it took all the same."""

_SUBJECT = "Your assistant has no credit left"
_TEXT = """\
The credits of "{tenant}" are used up. Messages that arrive now are kept, but not answered.
Once credits are added, new messages are answered again.
"""
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER = re.compile(r"\d{7}")
"""So many digits may be somebody's number."""


class TenantNames:
    """Names for tenants that may stand in logs: metadata can hold anything, numbers of people too."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def of(self, tenant: str) -> str:
        """*tenant* itself where it is plainly a name, else what stands for it."""
        is_plain = _PLAIN.fullmatch(tenant) and not _NUMBER.search(tenant)
        return tenant if is_plain else self._pseudonyms.of(tenant)


class Notices:
    """Mails to owners of tenants."""

    def __init__(
        self, store: Store, database: Database, mailer: Mailer, names: TenantNames, log: Log
    ) -> None:
        self._store = store
        self._database = database
        self._mailer = mailer
        self._names = names
        self._log = log

    async def no_credit(self, tenant: str) -> None:
        """Tell the owner of *tenant*, if nobody did today. Best effort: never raises."""
        claim = f"{LIVE.prefix}:notice:no-credit:{tenant}"
        try:
            is_first = await self._store.call("SET", claim, "", "NX", "EX", DAY_S)
            if is_first and not await self._mail(tenant):
                await self._store.call("EXPIRE", claim, AGAIN_S)
        except StoreError as error:
            self._log.warning("Notice was not sent", tenant=self._names.of(tenant), exc_info=error)

    async def _mail(self, tenant: str) -> bool:
        name = self._names.of(tenant)
        try:
            account = await self._database.tenant(tenant)
        except DatabaseFailed:
            return False  # logged where it failed
        if account is None or not account.owner_email:
            self._log.warning("Notice was not sent", tenant=name, reason="the tenant has no owner's address")
            return False
        key = f"no-credit/{name}/{time.strftime('%Y-%m-%d', time.gmtime())}"
        text = _TEXT.format(tenant=tenant)
        return await self._mailer.send(Mail(account.owner_email, _SUBJECT, text, idempotency_key=key))
