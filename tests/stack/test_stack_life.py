"""A stack's life, from nothing to nothing, typed as a person would type it."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.request
from collections import Counter

import docker
import pytest
from docker.errors import NotFound
from on_demand import FULL, on_demand
from project import Project
from sender import Sender, wait_for_replies
from steady_client import SteadyClient

from contracts.webhook import WEBHOOK_PATH, encode, message_event
from infra.observed import stack_containers

pytestmark = pytest.mark.stack

EDIT = "\n# a line more\n"
PER_S = 200 if FULL else 50


@pytest.mark.gate
def test_up_ends_with_a_gated_live_release(deployed: Project) -> None:
    """The release is live on its evidence: the gate's figures, with sample sizes, are in the outputs."""
    outputs = deployed.outputs()
    entries = [entry for entry in outputs["releases"] if entry["manifest"]["id"] == outputs["release"]]
    entry = entries[0]  # it may have been brought back since, after a shorter gate
    verdicts = {report["suite"]: report["verdict"] for report in entry["gate"]}
    assert verdicts == {"smoke": "pass", "load": "pass", "containers": "pass"}
    figures = {check["name"]: check for check in entry["gate"][1]["checks"]}
    assert figures["error rate"]["samples"] >= 299
    with urllib.request.urlopen(outputs["url"] + "/api/health", timeout=30) as answer:
        assert json.load(answer)["status"] == "healthy"


def test_a_second_up_has_nothing_to_do(deployed: Project) -> None:
    """Same content, same release: no resource changes and no gate runs."""
    done = deployed.runbook("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert "created" not in done.stderr
    assert "updated" not in done.stderr


def test_a_signed_message_is_answered_once_in_the_sandbox(deployed: Project) -> None:
    """`sign` makes headers that the public frontend accepts; the same message twice is one reply."""
    outputs = deployed.outputs()
    event = message_event("hello", chat_id="4915550001@c.us")
    body = encode(event)
    signed = subprocess.run(
        ["bin/runbook", "sign", "--stack", deployed.stack],
        cwd=deployed.root,
        input=body,
        capture_output=True,
        check=True,
    ).stdout.decode()
    headers = dict(line.split(": ", 1) for line in signed.splitlines())
    for status in (202, 200):
        request = urllib.request.Request(outputs["url"] + WEBHOOK_PATH, body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == status
    message_id = event["payload"]["id"]
    assert wait_for_replies(outputs["sandbox_url"], [message_id]) == Counter({message_id: 1})


def test_an_unsigned_webhook_is_refused(deployed: Project) -> None:
    """The public frontend lets nobody in without a signature, a forged lane or not."""
    connection = http.client.HTTPConnection("127.0.0.1", deployed.ports["port"], timeout=30)
    connection.request("POST", WEBHOOK_PATH, b"{}", {"X-Gate-Lane": "1"})
    assert connection.getresponse().status == 401


def test_the_public_frontend_shows_no_gate_lane(deployed: Project) -> None:
    """Whoever forges the lane's header outside does not get to the gate's replies."""
    connection = http.client.HTTPConnection("127.0.0.1", deployed.ports["port"], timeout=30)
    connection.request("GET", "/api/gate/replies?after=0&limit=1", headers={"X-Gate-Lane": "1"})
    assert connection.getresponse().status == 404


@pytest.mark.parametrize("command", ["bin/runbook up", pytest.param("bin/pulumi up", marks=on_demand)])
def test_a_new_release_takes_over_without_a_failed_request(live: Project, command: str) -> None:
    """Under steady webhooks, some twice: none fails, is lost or answered twice; the old release is kept."""
    before = live.outputs()
    live.append("service/webhooks/webhook.py", f"{EDIT}# {command}\n")
    sender = Sender(live.webhook_secret(), twice_each=5)
    with SteadyClient(live.ports["port"], sender, per_s=PER_S) as client:
        if command == "bin/runbook up":
            done = live.runbook("up")
        else:
            done = live.pulumi("up", "--yes", "--skip-preview")
    assert done.returncode == 0, done.stderr + done.stdout
    assert client.failures == []
    after = live.outputs()
    assert after["release"] != before["release"]
    assert after["kept"][0] == before["release"]
    assert [name for name in live.leftovers() if f"web-1-{before['release']}" in name]
    replies = wait_for_replies(after["sandbox_url"], sender.accepted[-5000:])
    assert set(sender.accepted[-5000:]) == replies.keys()
    assert max(replies.values()) == 1


@pytest.mark.parametrize("sources", [pytest.param("the same", marks=on_demand), "other"])
def test_up_puts_right_what_was_removed_by_hand(live: Project, sources: str) -> None:
    """One container of each kind removed by hand: `up` sees it, says so, and brings them back."""
    before = live.outputs()["release"]
    if sources == "other":
        live.append("service/webhooks/webhook.py", EDIT)
    found = stack_containers(live.stack, docker.from_env(), stopped=False)
    for container in {container.labels["runbook.role"]: container for container in found}.values():
        container.remove(force=True)
    done = live.runbook("up")
    assert done.returncode == 0, done.stderr
    assert "gone from the engine: " in done.stderr
    after = live.outputs()
    assert (after["release"] == before) is (sources == "the same")
    sender = Sender(live.webhook_secret())
    with SteadyClient(live.ports["port"], sender, connections=2, per_s=20) as client:
        replies_wanted = 40
        while len(sender.accepted) < replies_wanted and client.sent < 4 * replies_wanted:
            time.sleep(0.05)
    assert client.failures == []
    assert max(wait_for_replies(after["sandbox_url"], sender.accepted).values()) == 1


@on_demand
def test_up_sorts_a_state_that_is_out_of_order(live: Project) -> None:
    """As Pulumi itself can leave it: it takes no such state, and nothing else went on from it."""
    file = live.root / f".pulumi-state/.pulumi/stacks/runbook/{live.stack}.json"
    state = json.loads(file.read_text())
    resources = state["checkpoint"]["latest"]["resources"]
    moved = next(each for each in resources if each["urn"].endswith("::migrations"))
    resources.remove(moved)
    resources.append(moved)
    file.write_text(json.dumps(state))
    refused = live.pulumi("up", "--yes", "--skip-preview")
    assert refused.returncode != 0
    done = live.runbook("up")
    assert done.returncode == 0, done.stderr
    assert "left the state's resources out of order: sorting them" in done.stderr
    assert "nothing to do" in live.runbook("up").stderr


@on_demand
def test_rollback_brings_back_the_release_before(live: Project) -> None:
    """With the secret it had, at once, and it sticks: what was rolled back comes again only by force."""
    first = live.outputs()["release"]
    live.runbook("secrets", "set", "RESEND_API_KEY", stdin="re_another_value")
    second = live.deploy()
    assert second != first
    sender = Sender(live.webhook_secret(), twice_each=5)
    with SteadyClient(live.ports["port"], sender, per_s=PER_S) as client:
        done = live.runbook("rollback", "--reason", "just to see")
    assert done.returncode == 0, done.stderr
    assert client.failures == []
    assert live.outputs()["release"] == first
    assert max(wait_for_replies(live.outputs()["sandbox_url"], sender.accepted).values()) == 1

    refused = live.runbook("up")
    assert refused.returncode == 1
    assert f"release {second}, which the sources are, was rolled back at" in refused.stderr
    assert "just to see" in refused.stderr
    assert live.outputs()["release"] == first
    listed = {line.split()[0]: line for line in reversed(live.runbook("releases").stdout.splitlines())}
    assert "live" in listed[first]
    assert "rolled back" in listed[second]

    forced = live.runbook("up", "--force", "--json")
    assert forced.returncode == 0, forced.stderr
    assert live.outputs()["release"] == second
    unknown = live.runbook("rollback", "r-0000000")
    assert unknown.returncode == 1
    assert "error: release 'r-0000000' is not known" in unknown.stderr
    assert f"{first} (at once)" in unknown.stderr


def test_destroy_leaves_nothing_and_up_works_again(live: Project) -> None:
    """No container, network, volume or secret remains; the next `up` begins from nothing.

    Neither a volume that a killed update left, nor one with data that was restored by hand.
    """
    engine, data = docker.from_env(), f"runbook-{live.stack}-redis-data"
    left = f"runbook-{live.stack}-secrets-r-0000000"
    engine.volumes.create(left, labels={"runbook.stack": live.stack})
    refused = live.pulumi("destroy", "--yes", "--skip-preview")
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert engine.volumes.get(data)
    done = live.runbook("destroy")
    assert done.returncode == 0, done.stderr
    assert live.leftovers() == []
    for name in (left, data, f"runbook-{live.stack}-proxy-routes"):
        with pytest.raises(NotFound):
            engine.volumes.get(name)
    assert not (live.root / f"Pulumi.{live.stack}.yaml").exists()
    again = live.runbook("destroy")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    live.configure()
    live.deploy()
