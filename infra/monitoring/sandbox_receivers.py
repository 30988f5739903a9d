"""Whom a dev stack's alerts reach: its sandbox, where nobody else is named."""

from __future__ import annotations

from dataclasses import replace

from infra.stack_config import StackConfig

_MAIL = {
    "alert_mail_to": "team@sandbox.example",
    "alert_mail_from": "alerts@sandbox.example",
    "alert_smtp": "sandbox:2525",
}
_URLS = {
    "ALERT_CHANNEL_URL": "http://sandbox:9000/channel/team",
    "ALERT_HEARTBEAT_URL": "http://sandbox:9000/heartbeat/00000000-0000-4000-8000-000000000000",
}


def with_receivers(config: StackConfig) -> StackConfig:
    """*config*, in which the sandbox hears what nobody else is named for, where there is one."""
    if not config.layout.sandbox:
        return config
    mail, password = ({}, {}) if config.layout.alert_mail_to else (_MAIL, {"ALERT_SMTP_PASSWORD": "any"})
    return replace(
        config,
        layout=config.layout.model_copy(update=mail),
        secrets={**_URLS, **password, **config.secrets},
    )
