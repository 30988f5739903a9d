"""Mail that the service sends: notices and invitations, in plain text, through Resend."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from service.telemetry.logs import Log

INVITATION = """Hello,

you are now the owner of {tenant}: a WhatsApp assistant answers its messages.
Notices about its credits will come to this address.

Sign in here to see its messages and to change its settings:
{app_url}
"""


@dataclass(frozen=True)
class Mail:
    """One mail. The same *idempotency_key* (up to 256 characters) within 24 h is the same mail, sent once."""

    to: str
    subject: str
    text: str
    idempotency_key: str


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> bool:
        """Whether *mail* was taken; it takes 10 s at most and never raises.

        What was not sent is logged, without addresses; to send it again with the same key is safe.
        """
        ...


class NoMailer:
    """Stands where no mail service is configured."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def send(self, mail: Mail) -> bool:
        """See `Mailer.send`."""
        self._log.warning("Mail was not sent", reason="RESEND_API_KEY is not set")
        return False


def invitation(tenant: str, owner_email: str, app_url: str) -> Mail:
    """The mail that tells *owner_email* that the assistant answers for *tenant*; once a day."""
    digest = hashlib.sha256(owner_email.lower().encode()).hexdigest()[:16]
    return Mail(
        to=owner_email,
        subject=f"Your WhatsApp assistant for {tenant}",
        text=INVITATION.format(tenant=tenant, app_url=app_url),
        idempotency_key=f"invitation/{tenant}/{digest}",
    )
