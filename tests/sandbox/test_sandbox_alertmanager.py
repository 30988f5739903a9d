"""Debian's Alertmanager sends its alerts to the sandbox, as it would to Resend and to Slack."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
from monitors import running_alertmanager
from test_sandbox_process import sandbox, wait_until_healthy
from waiting import wait_until

from contracts.free_ports import free_ports

CONFIG = """
global: {{resolve_timeout: 1m}}
route: {{receiver: people, group_wait: 0s}}
receivers:
  - name: people
    email_configs:
      - to: oncall@example.org
        from: alerts@sandbox.example
        smarthost: 127.0.0.1:{smtp_port}
        auth_username: resend
        auth_password: re_123
        require_tls: false
        text: 'why: {{{{ (index .Alerts 0).Annotations.summary }}}}'
    slack_configs:
      - api_url: {url}/channel/services/T1/B1/x
        channel: '#ops'
        text: '{{{{ (index .Alerts 0).Annotations.summary }}}}'
"""


def test_an_alert_arrives_as_mail_and_in_the_channel(tmp_path: Path) -> None:
    """With its name and what it says."""
    port, smtp_port = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    process = sandbox(port, SMTP_PORT=str(smtp_port), SANDBOX_RESEND_API_KEY="re_123")
    try:
        wait_until_healthy(url)
        config = CONFIG.format(url=url, smtp_port=smtp_port)
        with running_alertmanager(tmp_path, config) as alertmanager:
            alert = {"labels": {"alertname": "Down"}, "annotations": {"summary": "nobody answers"}}
            httpx.post(f"{alertmanager}/api/v2/alerts", json=[alert]).raise_for_status()
            wait_until(lambda: httpx.get(f"{url}/resend/sent").json() != [])
            wait_until(lambda: httpx.get(f"{url}/channel/posts").json() != [])
        (mail,), (post,) = httpx.get(f"{url}/resend/sent").json(), httpx.get(f"{url}/channel/posts").json()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert (mail["from"], mail["to"]) == ("alerts@sandbox.example", ["oncall@example.org"])
    assert "Down" in mail["subject"]
    assert mail["text"].strip() == "why: nobody answers"
    assert "Down" in mail["html"]
    assert (post["channel"], post["attachments"][0]["text"]) == ("#ops", "nobody answers")
