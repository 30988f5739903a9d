"""Whom a stack's alerts reach: as its settings and secrets say; else, in a dev stack, the sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from infra.monitoring.templates import filled
from infra.stack_config import StackConfig


@dataclass(frozen=True)
class Destinations:
    """Whom to tell; what is empty is left out. `smtp` is `host:port`.

    `is_sandbox`: its mail server has no TLS.
    """

    mail_to: str = ""
    mail_from: str = ""
    smtp: str = ""
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    channel_url: str = field(default="", repr=False)
    heartbeat_url: str = field(default="", repr=False)
    is_sandbox: bool = False

    @property
    def has_team(self) -> bool:
        """Whether anybody hears of an alert."""
        return bool(self.mail_to or self.channel_url)


_SANDBOX = Destinations(
    mail_to="team@sandbox.example",
    mail_from="alerts@sandbox.example",
    smtp="sandbox:2525",
    smtp_user="resend",
    smtp_password="any",  # noqa: S106 - it takes any
    channel_url="http://sandbox:9000/channel/team",
    heartbeat_url="http://sandbox:9000/heartbeat/00000000-0000-4000-8000-000000000000",
    is_sandbox=True,
)


def destinations(config: StackConfig) -> Destinations:
    """Where to; Resend's key is the mail server's password unless another is set.

    A dev stack's sandbox hears what nobody else is named for.
    """
    layout, secrets = config.layout, config.secrets
    default = _SANDBOX if layout.sandbox else Destinations()
    password = secrets.get("ALERT_SMTP_PASSWORD") or secrets.get("RESEND_API_KEY", "")
    hears = replace(
        default,
        channel_url=secrets.get("ALERT_CHANNEL_URL") or default.channel_url,
        heartbeat_url=secrets.get("ALERT_HEARTBEAT_URL") or default.heartbeat_url,
        smtp_password=password or default.smtp_password,
    )
    if not layout.alert_mail_to:
        return hears
    return replace(
        hears,
        mail_to=layout.alert_mail_to,
        mail_from=layout.alert_mail_from,
        smtp=layout.alert_smtp,
        smtp_user=layout.alert_smtp_user,
        smtp_password=password,
        is_sandbox=False,
    )


def alertmanager_config(to: Destinations) -> str:
    """Alertmanager's configuration file; holds secrets."""
    return filled("alertmanager.yml", to=to)
