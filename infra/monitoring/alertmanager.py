"""Where alerts go: mail, the team's channel, and for the one that always fires a dead man's switch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from infra.monitoring.prometheus import WATCHDOG

MAIL, CHANNEL, HEARTBEAT, NOBODY = "mail", "channel", "heartbeat", "nobody"
_SYMPTOMS = "health|webhooks|budget|speed|replies|database|waha|redis"
"""Topics in which an outage shows: while a P0 fires only that is told of. Not a full disk, for example."""

# What was inhibited when it ended counts as told of still: it must not be for long.
_HOURLY = {"matchers": [f'topic=~"{_SYMPTOMS}"'], "repeat_interval": "1h"}
_IMPLICIT_TLS = "465"

_TITLE = (
    '{{ if eq .Status "firing" }}{{ .CommonLabels.severity }}{{ else }}Resolved{{ end }} '
    "{{ .CommonLabels.alertname }} ({{ .CommonLabels.stack }})"
)
_SUMMARY = '{{ if eq .Status "resolved" }}It was: {{ end }}{{ .Annotations.summary }}'
_TEXT = "{{ range .Alerts }}" + _SUMMARY + "\n{{ .Annotations.runbook }}\n{{ end }}"
_MAIL = (
    "{{ range .Alerts }}" + _SUMMARY + "\n"
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
    receivers = {MAIL: _mails(to), CHANNEL: _posts(to), HEARTBEAT: _heartbeat(to)}
    team = [name for name in (MAIL, CHANNEL) if receivers[name]]
    return json.dumps(
        {
            **({"global": _smtp(to)} if to.mail_to else {}),
            "route": {
                "receiver": NOBODY,
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
                        "repeat_interval": "50s",  # less than the group's: it comes each minute
                    },
                    # By routes of their own: a mail server that never answers holds up no post.
                    *({"receiver": name, "continue": True, "routes": [_HOURLY]} for name in team),
                ],
            },
            "inhibit_rules": [
                _inhibit('severity="P0"', [f'topic=~"{_SYMPTOMS}"', 'severity!="P0"'], []),
                _inhibit('severity="P1"', ['severity=~"P[23]"'], ["topic"]),
                _inhibit('severity="P2"', ['severity="P3"'], ["topic"]),
                # Who is not told is to be told by the dead man's switch.
                _inhibit('integration=~"email|slack"', [f'alertname="{WATCHDOG}"'], []),
            ],
            "receivers": [
                {"name": NOBODY},
                *({"name": name, **found} for name, found in receivers.items() if found),
            ],
        },
        indent=1,
        ensure_ascii=False,  # JSON's way of writing an emoji is none of YAML's
    )


def _inhibit(source: str, target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": [source], "target_matchers": target, "equal": ["stack", *equal]}


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
    if not to.heartbeat_url:
        return {}
    return {"webhook_configs": [{"url": to.heartbeat_url, "send_resolved": False}]}
