"""The mail that invites the owner of a tenant."""

from __future__ import annotations

from service.operating.refusal import OperatorRefused
from service.settings import Settings
from service.telemetry.mail import Mailer, invitation


def check_invitations(settings: Settings) -> str:
    """The address that an invitation leads to.

    Raises:
        OperatorRefused: a setting that mail needs is missing; all that are, by name.
    """
    needed = {
        "NEXT_PUBLIC_APP_URL": settings.next_public_app_url,
        "RESEND_API_KEY": settings.resend_api_key,
        "EMAIL_FROM": settings.email_from,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing or settings.next_public_app_url is None:
        raise OperatorRefused(
            f"no invitation can be sent, nothing was changed: {', '.join(missing)} not set",
            "set it for the stack and run `bin/runbook up`, or set the owner without --invite",
        )
    return settings.next_public_app_url


async def invite(mailer: Mailer, tenant: str, email: str, app_url: str) -> None:
    """Send the owner at *email* an invitation, once a day at most however often it is asked for.

    Raises:
        OperatorRefused: the mail service did not take it.
    """
    if not await mailer.send(invitation(tenant, email, app_url)):
        raise OperatorRefused(
            "the owner is set, but the mail service did not take the invitation",
            "is RESEND_API_KEY right, and EMAIL_FROM of a domain that is verified there? "
            "Then run the same command again",
        )
