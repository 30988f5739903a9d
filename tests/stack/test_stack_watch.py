"""The watch on a provisioned stack: what is wrong with the world takes no release out, a wrong key does."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
from on_demand import on_demand
from project import Project
from sender import Sender
from steady_client import SteadyClient

from infra.stack_name import prefix_of

pytestmark = [pytest.mark.stack, on_demand]

SERVICES = ("waha", "convex", "ai", "sentry")
REDIS_PAUSED_S = 12


@pytest.fixture
def client(live: Project) -> Iterator[SteadyClient]:
    """WAHA, with 20 webhooks a second."""
    with SteadyClient(live.ports["port"], Sender(live.webhook_secret()), per_s=20) as client:
        client.wait_for_sent(100, 60)
        yield client


def tell(project: Project, method: str, path: str, body: dict[str, object] | None = None) -> None:
    """Ask the sandbox."""
    url = f"http://127.0.0.1:{project.ports['sandbox_port']}{path}"
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=10) as answer:
        answer.read()


@contextmanager
def fault(project: Project, service: str) -> Iterator[None]:
    """The *service* answers nobody, for the length of the block."""
    tell(project, "PUT", f"/faults/{service}", {"down": True})
    try:
        yield
    finally:
        tell(project, "DELETE", f"/faults/{service}")


@contextmanager
def paused_redis(project: Project) -> Iterator[None]:
    """Redis is silent for some seconds of the block."""
    redis = docker.from_env().containers.get(f"{prefix_of(project.stack)}-redis")
    redis.pause()
    end = threading.Timer(REDIS_PAUSED_S, redis.unpause)
    end.start()
    try:
        yield
    finally:
        end.join()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.usefixtures("client")
def test_a_service_that_is_down_takes_no_release_out(live: Project, service: str) -> None:
    """Another release would not do better."""
    before = live.outputs()["release"]
    with fault(live, service):
        watched = live.runbook("watch", "--minutes", "1")
    assert watched.returncode == 0, watched.stderr
    assert f"{before} has done well for 60 s" in watched.stderr
    assert live.outputs()["release"] == before


@pytest.mark.usefixtures("client")
def test_a_silent_redis_takes_no_release_out(live: Project) -> None:
    """Nor does the backlog after it."""
    before = live.outputs()["release"]
    with paused_redis(live):
        watched = live.runbook("watch", "--minutes", "1")
    assert watched.returncode == 0, watched.stderr
    assert live.outputs()["release"] == before


@pytest.mark.usefixtures("client")
def test_a_release_with_a_wrong_key_of_waha_is_taken_out(live: Project) -> None:
    """WAHA refuses each of its sends: the one before comes back, by itself."""
    before = live.outputs()["release"]
    live.append("service/webhooks/webhook.py", "\n# with another key\n")
    bad = live.deploy("--no-watch")
    tell(live, "PUT", "/waha/key", {"key": "not-the-one-that-the-release-has"})
    try:
        watched = live.runbook("watch", "--minutes", "2")
    finally:
        tell(live, "DELETE", "/waha/key")
    assert watched.returncode == 1, watched.stderr
    assert f"release {bad} failed and was taken out of traffic" in watched.stderr
    assert "refused sends: fail" in watched.stderr
    assert live.outputs()["release"] == before
