"""What no gate can see is seen in live traffic: at its first step, or by the watch after the last one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from on_demand import on_demand
from project import Project
from sender import Sender
from steady_client import SteadyClient

pytestmark = [pytest.mark.stack, pytest.mark.gate]

FILE = "service/webhooks/webhook.py"
FAILS = """

_good = Webhook.take

def _broken(self, delivery, answer):
    if lane_name(delivery.headers) is LaneName.LIVE and b"TEXT" in delivery.body:
        answer(Answer(500, b"{}"))
    else:
        _good(self, delivery, answer)

Webhook.take = _broken
"""


@pytest.fixture
def sender(live: Project) -> Sender:
    """What WAHA sends."""
    return Sender(live.webhook_secret())


@pytest.fixture
def client(live: Project, sender: Sender) -> Iterator[SteadyClient]:
    """WAHA, with 100 webhooks a second: five of them for the first step."""
    with SteadyClient(live.ports["port"], sender, per_s=100) as client:
        yield client


def test_a_release_that_fails_in_live_traffic_loses_it_at_once(
    live: Project, client: SteadyClient, sender: Sender
) -> None:
    """Its gate lane was well; a share of some seconds' webhooks has failed, then the one before has all."""
    before = live.outputs()["release"]
    with live.broken(FILE, FAILS.replace("TEXT", sender.text)):
        refused = live.runbook("up")
        assert refused.returncode == 1
        assert "did not keep the traffic (fail); the one before has it again" in refused.stderr
        assert "error rate at 5 %: fail: 1, limit 0.01, samples" in refused.stderr
        assert live.outputs()["release"] == before
        failed = len(client.failures)
        client.wait_for_sent(client.sent + 200)
        assert len(client.failures) == failed
    assert 0 < failed < 0.02 * client.sent
    assert "error rate at 5 %" in live.runbook("releases").stdout.splitlines()[1]
    assert live.deploy() == before


@on_demand
def test_a_release_that_fails_later_is_taken_out_by_the_watch(
    live: Project, client: SteadyClient, sender: Sender
) -> None:
    """By itself, with the reason; it is not deployed again."""
    before = live.outputs()["release"]
    with live.broken(FILE, FAILS.replace("TEXT", "fail now")):
        bad = live.runbook("up", "--no-watch")
        assert bad.returncode == 0, bad.stderr
        sender.text = "fail now"
        watched = live.runbook("watch", "--minutes", "2")
        assert watched.returncode == 1
        assert "failed and was taken out of traffic: error rate: fail" in watched.stderr
        assert live.outputs()["release"] == before
        failed = len(client.failures)
        client.wait_for_sent(client.sent + 200)
        assert len(client.failures) == failed
        again = live.runbook("up")
        assert again.returncode == 1
        assert "was rolled back at" in again.stderr
        assert "error rate: fail" in again.stderr
    assert "rolled back" in live.runbook("releases").stdout
    assert live.deploy() == before
