"""What the service keeps about its tenants: who may still be answered, what was used, and what was said.

One port, two implementations that are held to the same tests: Convex (service/accounts/convex_database.py)
and Redis (service/accounts/redis_database.py). Every function is idempotent: a call whose outcome is unknown
may be made again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Reservation(StrEnum):
    """Whether a message may be answered."""

    RESERVED = "reserved"
    NO_CREDIT = "no_credit"


class MessageOutcome(StrEnum):
    """How a message ended. `UNKNOWN` is the only one that may still become another."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """WAHA did not say whether the reply was sent."""
    NO_CREDIT = "no_credit"
    STORED = "stored"
    """Too old to be answered."""


@dataclass(frozen=True)
class MessageRecord:
    """One message and its reply, as the message log keeps them. Times in ms since 1970."""

    identity: str
    """Of the message, the same on every retry: the key of its place in the ledger."""
    tenant: str
    session: str
    chat_id: str
    payload_id: str
    text: str
    reply: str
    """What was sent, or tried; empty where nothing was."""
    outcome: MessageOutcome
    received_ms: int
    ended_ms: int


@dataclass(frozen=True)
class Tenant:
    """A tenant's account, in whole credits: one credit is one answered message."""

    id: str
    credits: int | None
    """Granted in all, used ones included; None: unlimited. What is left is credits - reserved - used."""
    reserved: int
    """Held by messages that have not ended, or whose outcome is unknown."""
    used: int
    owner_email: str | None


class DatabaseFailed(Exception):
    """The database did not do it, or did not say in time whether it did. The same call may be made again."""


class Database(Protocol):
    """Tenants, credits and the message log. Every function may raise DatabaseFailed, and nothing else."""

    async def ping(self) -> None:
        """Return when the database answers a read."""
        ...

    async def reserve(self, tenant: str, message: str) -> Reservation:
        """Hold one credit of the tenant for the message with this identity.

        A message that was given a credit keeps it: asked again, also after it was charged, the answer is
        RESERVED and nothing more is held. One that had none, or whose credit was released, is considered
        anew. A tenant seen first is opened with the starting credits of the service.
        """
        ...

    async def settle(self, record: MessageRecord) -> None:
        """End the message: log it, and charge or release what was reserved for it.

        ANSWERED charges one credit, once, also where none was reserved (a reply was sent). FAILED, STORED and
        NO_CREDIT give back what was reserved. UNKNOWN keeps it reserved, or reserves one where none was, and
        may be settled again as any other outcome; what was ANSWERED stays so. The log has an entry each time
        that this changed how the message ended. A message belongs to one tenant, the one it is reserved for.
        """
        ...

    async def tenant(self, tenant: str) -> Tenant | None:
        """The tenant's account, None where none was opened."""
        ...

    async def tenants(self) -> list[Tenant]:
        """All accounts, by id."""
        ...

    async def save_tenant(
        self,
        tenant: str,
        *,
        credits: int | None,  # noqa: A002 - the field's name; the builtin is a banner of the prompt
        owner_email: str | None,
    ) -> Tenant:
        """Set both (None: unlimited; no owner), and keep what was used. Opens the account if need be."""
        ...
