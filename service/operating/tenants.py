"""`tenants`: whose messages are answered, and how many more."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from service.accounts.database import Database, Tenant
from service.operating.refusal import OperatorRefused

UNLIMITED = "unlimited"
MOST_CREDITS = 10**12

_TENANT = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+")
_EMAIL_LENGTH = 254


def parse_tenant(text: str) -> str:
    """A tenant's id, as events may have it."""
    if not _TENANT.fullmatch(text):
        raise OperatorRefused(
            f"{text!r} is no tenant",
            "give its id: the `metadata.tenant` of its webhooks, or its session's name",
        )
    return text


def parse_credits(text: str) -> int | None:
    """A number of credits; None for the word `unlimited`."""
    if text == UNLIMITED:
        return None
    if not re.fullmatch(r"[0-9]{1,13}", text) or int(text) > MOST_CREDITS:
        raise OperatorRefused(
            f"{text!r} is no number of credits", f"give a whole number up to {MOST_CREDITS}, or {UNLIMITED!r}"
        )
    return int(text)


def parse_email(text: str) -> str:
    """An address that mail could go to."""
    if not _EMAIL.fullmatch(text) or len(text) > _EMAIL_LENGTH:
        raise OperatorRefused(f"{text!r} is no e-mail address", "give one like owner@example.org")
    return text


def described(tenant: Tenant) -> dict[str, Any]:
    """An account, with what is left of it (None: unlimited)."""
    left = None if tenant.credits is None else max(0, tenant.credits - tenant.reserved - tenant.used)
    return {**asdict(tenant), "left": left}


class Accounts:
    """The tenants' accounts. Methods raise `DatabaseFailed`; *starting*: the credits of a new account."""

    def __init__(self, database: Database, starting: int | None) -> None:
        self._database = database
        self._starting = starting

    async def all(self) -> list[dict[str, Any]]:
        """Every account, by id."""
        return [described(tenant) for tenant in await self._database.tenants()]

    async def one(self, tenant: str) -> dict[str, Any]:
        """One account.

        Raises:
            OperatorRefused: there is none.
        """
        account = await self._database.tenant(tenant)
        if account is None:
            raise OperatorRefused(
                f"tenant {tenant!r} has no account",
                "`bin/runbook tenants list` shows those that have; its first message opens one, `grant` too",
            )
        return described(account)

    async def grant(self, tenant: str, credits: int | None) -> dict[str, Any]:  # noqa: A002 - the port's word
        """Have the tenant *credits* in all, used ones included; opens an account if need be."""
        account = await self._database.tenant(tenant)
        owner = account.owner_email if account else None
        return described(await self._database.save_tenant(tenant, credits=credits, owner_email=owner))

    async def give_to(self, tenant: str, email: str) -> dict[str, Any]:
        """Have notices about the tenant go to *email*; opens an account if need be."""
        account = await self._database.tenant(tenant)
        granted = account.credits if account else self._starting
        return described(await self._database.save_tenant(tenant, credits=granted, owner_email=email))
