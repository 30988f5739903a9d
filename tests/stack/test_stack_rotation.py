"""The webhook secret of a live stack, rotated while webhooks come in: none is refused, none is lost."""

from __future__ import annotations

import json
import time

import pytest
from on_demand import on_demand
from project import Project
from sender import Sender, SentAccount
from steady_client import SteadyClient

pytestmark = [pytest.mark.stack, pytest.mark.gate]

NAME = "WAHA_WEBHOOK_SECRET"


def state_of(live: Project) -> dict[str, object]:
    """What the list says of the webhook secret."""
    found: dict[str, object] = json.loads(live.runbook("secrets", "list", "--json").stdout)[NAME]
    return found


@on_demand
def test_a_rotation_loses_nothing(live: Project) -> None:
    """Under 200 webhooks/s signed with the old secret while `up` deploys, then with the new one: no 401.

    The overlap ends when the sender has changed, not before; then the old secret is refused.
    """
    with SentAccount(live.outputs()["sandbox_url"]) as account:
        _rotate(live, account)


def _rotate(live: Project, account: SentAccount) -> None:
    before, secret = live.outputs()["release"], live.webhook_secret()
    old = Sender(secret)
    with SteadyClient(live.ports["port"], old, per_s=200) as client:
        rotated = live.runbook("secrets", "rotate", NAME, "--generate")
        assert rotated.returncode == 0, rotated.stderr
        early = live.runbook("secrets", "rotate", NAME, "--finish")
        assert early.returncode == 1
        assert f"release {before} is live, which does not take the new {NAME} yet" in early.stderr
        assert live.deploy() != before
        in_use = live.runbook("secrets", "rotate", NAME, "--finish")
        assert in_use.returncode == 1
        assert f"still come in that are signed with the old {NAME}" in in_use.stderr
    assert client.failures == []
    assert state_of(live)["old_taken_until"]

    new = Sender(live.webhook_secret())
    with SteadyClient(live.ports["port"], new, per_s=200) as client:
        finished = live.runbook("secrets", "rotate", NAME, "--finish")
        assert finished.returncode == 0, finished.stderr
        live.deploy()
    assert client.failures == []
    assert state_of(live) == {"set": True, "old_taken_until": None}

    accepted = [*old.accepted, *new.accepted]
    account.wait_for(accepted)
    assert set(accepted) - account.counts.keys() == set()
    assert max(account.counts[message] for message in accepted) == 1

    with SteadyClient(live.ports["port"], Sender(secret), connections=1, per_s=20) as client:
        client.wait_for_sent(5)
    assert client.failures
    assert all(failure.startswith("401 ") for failure in client.failures)


@on_demand
def test_what_is_over_is_ended_by_up_once_nobody_needs_it(live: Project) -> None:
    """After the grace, `up` drops the old secret by itself, unless messages would be refused then.

    Before it is deployed nobody can have used the new one: the suites sign with the old one too.
    """
    old = Sender(live.webhook_secret())
    assert live.runbook("secrets", "rotate", NAME, "--generate", "--grace-days", "1").returncode == 0
    tested = live.runbook("smoke")
    assert tested.returncode == 0, tested.stderr
    assert f"is over, but release {live.outputs()['release']} is live, which does not" in up_after_grace(live)

    with SteadyClient(live.ports["port"], old, connections=1, per_s=20) as client:
        client.wait_for_sent(5)
    assert client.failures == []
    said = up_after_grace(live)
    assert f"is over, but webhooks still come in that are signed with the old {NAME}" in said
    assert "nothing to do" in said
    assert state_of(live)["old_taken_until"]

    with SteadyClient(live.ports["port"], Sender(live.webhook_secret()), connections=1, per_s=20) as client:
        assert f"the time for the old {NAME} is over: this update ends it" in up_after_grace(live)
    assert client.failures == []
    assert state_of(live) == {"set": True, "old_taken_until": None}
    listed = json.loads(live.runbook("secrets", "list", "--json").stdout)
    assert listed[f"{NAME}_PREVIOUS"]["set"] is False


def up_after_grace(live: Project) -> str:
    """What `up` says when the time for the old secret was over yesterday."""
    yesterday = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 86_400))
    entry = json.dumps({NAME: {"until": yesterday}})
    assert live.pulumi("config", "set", "runbook:rotations", entry).returncode == 0
    done = live.runbook("up")
    assert done.returncode == 0, done.stderr
    return done.stderr
