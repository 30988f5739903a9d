"""Where alerts go: mail, the team's channel, and for the one that always fires a dead man's switch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from infra.monitoring.rules import WATCHDOG

TEAM, HEARTBEAT, NOBODY = "team", "heartbeat", "nobody"
_IMPLICIT_TLS = "465"

_TITLE = (
    '{{ if eq .Status "firing" }}{{ .CommonLabels.severity }}{{ else }}Resolved{{ end }} '
    "{{ .CommonLabels.alertname }} ({{ .CommonLabels.stack }})"
)
_TEXT = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.runbook }}\n{{ end }}"
_MAIL = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n"
    'since {{ .StartsAt }}{{ if eq .Status "resolved" }}, resolved {{ .EndsAt }}{{ end }}\n'
    "type: {{ .Annotations.runbook }}\n\n{{ end }}"
    "bin/runbook alerts shows all that fires.\n"
)


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


def alertmanager_config(to: Destinations) -> str:
    """Alertmanager's configuration file; holds secrets."""
    return json.dumps(
        {
            **({"global": _smtp(to)} if to.mail_to else {}),
            "route": {
                "receiver": TEAM,
                "group_by": ["alertname"],
                # As long as what hangs together may need to arrive; then at most each minute of a group.
                "group_wait": "10s",
                "group_interval": "1m",
                "repeat_interval": "4h",
                "routes": [
                    {
                        "matchers": [f'alertname="{WATCHDOG}"'],
                        "receiver": HEARTBEAT if to.heartbeat_url else NOBODY,
                        "group_wait": "0s",
                        "repeat_interval": "1m",
                    },
                    {"matchers": ['severity="P0"'], "receiver": TEAM, "repeat_interval": "1h"},
                ],
            },
            "inhibit_rules": [
                _inhibit('severity="P0"', 'severity=~"P[123]"', []),
                _inhibit('severity="P1"', 'severity=~"P[23]"', ["topic"]),
                _inhibit('severity="P2"', 'severity="P3"', ["topic"]),
            ],
            "receivers": [
                {"name": TEAM, **_mails(to), **_posts(to)},
                {"name": NOBODY},
                *([_heartbeat(to)] if to.heartbeat_url else []),
            ],
        },
        indent=1,
    )


def _inhibit(source: str, target: str, equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": [source], "target_matchers": [target], "equal": ["stack", *equal]}


def _smtp(to: Destinations) -> dict[str, Any]:
    return {
        "smtp_smarthost": to.smtp,
        "smtp_from": to.mail_from,
        **(
            {"smtp_auth_username": to.smtp_user, "smtp_auth_password": to.smtp_password}
            if to.smtp_password
            else {}
        ),
        # At port 465 all is encrypted from the start, and nobody offers it a second time.
        "smtp_require_tls": not to.is_sandbox and not to.smtp.endswith(f":{_IMPLICIT_TLS}"),
    }


def _mails(to: Destinations) -> dict[str, Any]:
    if not to.mail_to:
        return {}
    mail = {
        "to": to.mail_to,
        "send_resolved": True,
        "headers": {"Subject": _TITLE},
        "text": _MAIL,
        "html": "",
    }
    return {"email_configs": [mail]}


def _posts(to: Destinations) -> dict[str, Any]:
    """In Slack's form, which Mattermost, Rocket.Chat and Discord (`…/slack`) take, too."""
    if not to.channel_url:
        return {}
    post = {"api_url": to.channel_url, "send_resolved": True, "title": _TITLE, "text": _TEXT}
    return {"slack_configs": [{**post, "title_link": "", "fallback": _TITLE}]}


def _heartbeat(to: Destinations) -> dict[str, Any]:
    return {"name": HEARTBEAT, "webhook_configs": [{"url": to.heartbeat_url, "send_resolved": False}]}
