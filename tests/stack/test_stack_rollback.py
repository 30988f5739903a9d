"""A rollback at 3 a.m.: how soon the bad release gets no request any more, and all that it does not need."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from on_demand import FULL, on_demand
from project import COMMAND_S, Project, environment, kill_tree
from sender import Sender, wait_for_replies
from steady_client import SteadyClient
from waiting import wait_until

from infra.observed import Observed, observe_stack
from infra.stack_name import prefix_of

pytestmark = pytest.mark.stack

FILE = "service/webhooks/webhook.py"
WITHIN_S = 3.0
LEASE_S, SILENT_S = 70.0, 5.0
NO_NETWORK = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "GOPROXY": "off", "HTTPS_PROXY": "http://127.0.0.1:9"}


def observed(project: Project) -> Observed:
    """What the engine has of the project's stack."""
    return observe_stack(project.stack)


def live_release(project: Project) -> str:
    """What the proxy serves."""
    live = observed(project).live
    assert live is not None
    return live.release


@dataclass(frozen=True)
class Two:
    """The project with a good release kept, and another live."""

    project: Project
    good: str
    bad: str


@pytest.fixture
def two(live: Project) -> Iterator[Two]:
    """Whatever the test does, the last good sources are deployed again."""
    good = live.deploy("--force", "--no-watch")
    live.append(FILE, f"\n# another release {time.time_ns()}\n")
    bad = live.deploy("--no-watch")
    yield Two(live, good, bad)
    live.append(FILE, f"\n# after it {time.time_ns()}\n")


def test_the_last_request_at_the_bad_release_is_soon(two: Two) -> None:
    """From Enter on, measured by a client; none of its requests fails, and each message is answered once."""
    sender = Sender(two.project.webhook_secret(), twice_each=5)
    web = [docker.from_env().containers.get(name) for name in observed(two.project).names(two.bad, "web")]
    with SteadyClient(two.project.ports["port"], sender, per_s=50) as client:
        client.wait_for_sent(50)
        began = time.time()
        process = subprocess.Popen(
            ["bin/runbook", "rollback", "--reason", "too slow", "--stack", two.project.stack],
            cwd=two.project.root,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        _, said = process.communicate(timeout=COMMAND_S)
    assert process.returncode == 0, said
    assert client.failures == []
    assert live_release(two.project) == two.good
    last = max(last_webhook(container) for container in web)
    assert last
    print(f"last request at the bad release: {last - began:.2f} s after Enter; the command: {said}")
    assert last - began < (WITHIN_S if FULL else 60)
    assert "the traffic (" in said
    assert two.project.outputs()["release"] == two.good
    replies = wait_for_replies(two.project.outputs()["sandbox_url"], sender.accepted)
    assert replies.keys() == set(sender.accepted)
    assert max(replies.values()) == 1


def last_webhook(container: docker.models.containers.Container) -> float:
    """When a web process last wrote of a webhook (epoch seconds); 0 where it never did."""
    times = (line.partition('"time":')[2].split(",")[0].rstrip("}") for line in webhooks(container))
    return max(map(int, times), default=0) / 1000


def webhooks(container: docker.models.containers.Container) -> list[str]:
    """The last lines that a web process wrote of webhooks."""
    return [line for line in container.logs(tail=400).decode().splitlines() if '"webhook":true' in line]


@on_demand
def test_a_share_ends_by_itself_when_its_deployer_is_killed(live: Project) -> None:
    """Within a minute, nobody typing anything. A rollback then takes out that one and no other."""
    before = live_release(live)
    live.append(FILE, f"\n# killed with a share {time.time_ns()}\n")
    live.change("targets.toml", {"step_s = 0 ": "step_s = 40 ", "within_s = 20 ": "within_s = 45 "})
    with SteadyClient(live.ports["port"], Sender(live.webhook_secret()), per_s=50) as client:
        command = ["bin/runbook", "up", "--stack", live.stack]
        up = subprocess.Popen(command, cwd=live.root, env=environment(), start_new_session=True)
        wait_until(lambda: canary(live) is not None or up.poll() is not None, COMMAND_S)
        shared = canary(live)
        assert shared
        web = [docker.from_env().containers.get(name) for name in observed(live).names(shared, "web")]
        wait_until(lambda: any(webhooks(container) for container in web))
        kill_tree(up.pid)
        up.wait()
        wait_until(lambda: time.time() - max(map(last_webhook, web)) > SILENT_S, SILENT_S + LEASE_S)
    assert client.failures == []
    live.change("targets.toml", {"step_s = 40 ": "step_s = 0 ", "within_s = 45 ": "within_s = 20 "})
    done = live.runbook("rollback")
    assert done.returncode == 0, done.stderr
    assert live_release(live) == live.outputs()["release"] == before
    rows = {line.split()[0]: line for line in reversed(live.runbook("releases").stdout.splitlines())}
    assert "rolled back" in rows[shared]
    assert "live" in rows[before]


def canary(project: Project) -> str | None:
    """The release that has a share of the traffic, beside the live one."""
    live = observed(project).live
    return live.canary.release if live and live.canary else None


def test_nothing_else_has_to_be_well(two: Two, tmp_path: Path) -> None:
    """No WAHA, Convex, Sentry or model; no package index, no CLI; a checkout whose program is broken."""
    project = two.project
    outside = docker.from_env().containers.get(f"{prefix_of(project.stack)}-sandbox")
    program = project.root / "infra/program.py"
    kept = program.read_text()
    outside.stop(timeout=1)
    program.write_text("this is no program\n")
    (project.root / "service/requirements.lock").rename(project.root / "requirements.away")
    try:
        done = subprocess.run(
            ["bin/runbook", "rollback", "--stack", project.stack],
            cwd=project.root,
            env={**environment(), **NO_NETWORK, "XDG_CACHE_HOME": str(tmp_path), "PATH": without_go()},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
    finally:
        (project.root / "requirements.away").rename(project.root / "service/requirements.lock")
        program.write_text(kept)
        outside.start()
    assert done.returncode == 0, done.stderr
    assert "the traffic has moved, and the state could not follow" in done.stderr
    assert live_release(project) == two.good
    shown = project.runbook("outputs", "--json")
    assert f"the proxy serves {two.good}, the state says that {two.bad} is live" in shown.stderr
    # The next verb of any kind takes it in: the bad one is known as such, and the good one is live.
    refused = project.runbook("up")
    assert refused.returncode == 1
    assert "was rolled back" in refused.stderr
    rows = {line.split()[0]: line for line in reversed(project.runbook("releases").stdout.splitlines())}
    assert "live" in rows[two.good]
    assert "rolled back" in rows[two.bad]


def without_go() -> str:
    """PATH, on which the CLI could not be built."""
    return os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "go").exists()
    )


@on_demand
def test_a_kept_release_that_does_not_answer_gets_no_traffic_unless_forced(two: Two) -> None:
    """The check that refused it is named, with its value; --force asks nothing, and says so."""
    project, engine = two.project, docker.from_env()
    network = engine.networks.get(prefix_of(project.stack))
    webs = [engine.containers.get(name) for name in observed(project).names(two.good, "web")]
    for web in webs:
        network.disconnect(web)
    refused = project.runbook("rollback")
    assert refused.returncode == 1
    assert "ready: fail" in refused.stderr
    assert "hint: nothing was moved" in refused.stderr
    assert live_release(project) == two.bad
    forced = project.runbook("rollback", "--force")
    assert forced.returncode == 0, forced.stderr
    assert "without any check: --force" in forced.stderr
    assert live_release(project) == two.good
    for web in webs:
        network.connect(web, aliases=[str(web.name)])


@on_demand
def test_what_somebody_stopped_of_a_kept_release_runs_again(two: Two) -> None:
    """Stopped or paused: it is started before it is asked."""
    project, engine = two.project, docker.from_env()
    names = observed(project)
    worker = engine.containers.get(names.names(two.good, "worker")[0])
    web = engine.containers.get(names.names(two.good, "web")[0])
    worker.stop(timeout=1)
    web.pause()
    done = project.runbook("rollback")
    assert done.returncode == 0, done.stderr
    assert f"starting {worker.name}, which does not run (exited)" in done.stderr
    assert live_release(project) == two.good


@on_demand
def test_a_rollback_goes_on_while_the_stack_is_frozen(two: Two) -> None:
    """A freeze for an incident is against deployments, not against what ends the incident."""
    project = two.project
    assert project.runbook("lock", "acquire", "-m", "incident 42").returncode == 0
    try:
        done = project.runbook("rollback")
        refused = project.pulumi("up", "--yes", "--skip-preview")
    finally:
        assert project.runbook("lock", "release").returncode == 0
    assert done.returncode == 0, done.stderr
    assert "incident 42: this goes on all the same" in done.stderr
    assert live_release(project) == two.good
    assert project.outputs()["release"] == two.good
    assert refused.returncode != 0
    assert "are frozen by" in refused.stderr
