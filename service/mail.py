"""Mail that the service sends: notices and invitations, in plain text, through Resend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.logs import Log


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
        """Whether *mail* was taken, within 10 s. Never raises: what was not sent is logged, without addresses."""
        ...


class NoMailer:
    """Stands where no mail service is configured."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def send(self, mail: Mail) -> bool:
        """See `Mailer.send`."""
        self._log.warning("Mail was not sent", reason="RESEND_API_KEY is not set")
        return False
