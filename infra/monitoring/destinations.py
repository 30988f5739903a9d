"""Whom a stack's alerts reach: as its settings and secrets say; else, in a dev stack, the sandbox."""

from __future__ import annotations

from dataclasses import replace

from infra.monitoring.alertmanager import Destinations
from infra.stack_config import StackConfig

_SANDBOX = Destinations(
    mail_to="team@sandbox.example",
    mail_from="alerts@sandbox.example",
    smtp="sandbox:2525",
    smtp_user="resend",
    channel_url="http://sandbox:9000/channel/team",
    heartbeat_url="http://sandbox:9000/heartbeat/00000000-0000-4000-8000-000000000000",
    is_sandbox=True,
)


def destinations(config: StackConfig) -> Destinations:
    """Where to; Resend's key is the mail server's password unless another is set."""
    layout, secrets = config.layout, config.secrets
    channel, heartbeat = secrets.get("ALERT_CHANNEL_URL", ""), secrets.get("ALERT_HEARTBEAT_URL", "")
    password = secrets.get("ALERT_SMTP_PASSWORD") or secrets.get("RESEND_API_KEY", "")
    if layout.sandbox and not layout.alert_mail_to and not channel:
        heartbeat = heartbeat or _SANDBOX.heartbeat_url
        return replace(_SANDBOX, smtp_password=password, heartbeat_url=heartbeat)
    return Destinations(
        mail_to=layout.alert_mail_to,
        mail_from=layout.alert_mail_from,
        smtp=layout.alert_smtp,
        smtp_user=layout.alert_smtp_user,
        smtp_password=password,
        channel_url=channel,
        heartbeat_url=heartbeat,
    )
