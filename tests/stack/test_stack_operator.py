"""What an operator looks into and changes in a running stack, through a real worker's container."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from project import Project

from contracts.webhook import WEBHOOK_PATH, encode, message_event, signed_headers

pytestmark = pytest.mark.stack


def shown(live: Project, *arguments: str) -> Any:
    """What a verb prints as JSON."""
    done = live.runbook(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def sent(deployed: Project) -> Callable[[str], int]:
    """Sends a signed webhook from a chat; its status."""
    secret, url = deployed.webhook_secret(), f"http://127.0.0.1:{deployed.ports['port']}{WEBHOOK_PATH}"

    def sent(chat: str) -> int:
        body = encode(message_event("hello", chat_id=chat))
        headers = signed_headers(body, secret)
        return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=30).status_code

    return sent


def eventually(condition: Callable[[], bool], timeout_s: float = 120) -> bool:
    """Whether *condition* comes to hold within *timeout_s*."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_queue_of_a_live_stack_is_shown(deployed: Project) -> None:
    """The live lane, with a consumer that is a worker of the live release, and nothing given up."""
    queue = shown(deployed, "queue", "show")
    (lane,) = [lane for lane in queue["lanes"] if lane["lane"] == "live"]
    assert (lane["dead"], lane["unknown"], lane["unsettled"]) == (0, 0, 0)
    assert queue["live_release"] == shown(deployed, "outputs")["release"]


def test_blocked_address_is_refused_until_it_is_removed(
    deployed: Project, sent: Callable[[str], int]
) -> None:
    """The change is in force within seconds in every web process, and so is its end."""
    assert sent("15550000001@c.us") == 202
    everybody = "0.0.0.0/0"
    blocked = deployed.runbook("blocklist", "add", everybody, "--reason", "a test", "--force")
    assert blocked.returncode == 0, blocked.stderr
    try:
        assert eventually(lambda: [sent("15550000001@c.us") for _ in range(4)] == [403] * 4)
    finally:
        removed = deployed.runbook("blocklist", "remove", everybody)
    assert removed.returncode == 0, removed.stderr
    assert eventually(lambda: [sent("15550000001@c.us") for _ in range(4)] == [202] * 4)


def test_tenant_without_credit_is_not_answered_and_its_owner_told(
    deployed: Project, sent: Callable[[str], int]
) -> None:
    """No reply, a notice by mail once a day; with credits again, new messages are answered."""
    sandbox = f"http://127.0.0.1:{deployed.ports['sandbox_port']}"

    def listed(path: str) -> Any:
        return httpx.get(f"{sandbox}/{path}", trust_env=False, timeout=30).json()

    assert deployed.runbook("tenants", "owner", "default", "owner@sandbox.example").returncode == 0
    assert deployed.runbook("tenants", "grant", "default", "0").returncode == 0
    try:
        assert [sent("15550000002@c.us") for _ in range(2)] == [202, 202]
        assert eventually(lambda: len(listed("resend/sent")) == 1)
        assert listed("resend/sent")[0]["to"] == ["owner@sandbox.example"]
        assert [it for it in listed("waha/sent") if it["chatId"] == "15550000002@c.us"] == []
    finally:
        assert deployed.runbook("tenants", "grant", "default", "unlimited").returncode == 0
    assert sent("15550000003@c.us") == 202
    assert eventually(lambda: any(it["chatId"] == "15550000003@c.us" for it in listed("waha/sent")))
    assert len(listed("resend/sent")) == 1
