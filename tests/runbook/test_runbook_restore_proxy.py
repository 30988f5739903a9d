"""A rollback on a real engine: HAProxy moves the traffic, real containers are started and read."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from fake_stack import moves_of
from records import manifest
from steady_client import SteadyClient

from infra.base_images import Mode, Role, resolve
from infra.haproxy_config import BASELINE_PORT, CANDIDATE_PORT, LIVE_PORT, Backend, base_config
from infra.history import History
from infra.live_route import LiveRoute, live_config
from infra.manifest import MANIFEST_LABEL
from infra.observed import observe_stack
from infra.proxy_control import ProxyControl
from runbook.errors import RunbookError
from runbook.restore import Restore, kept_target, shift_to_kept
from runbook.restore_checks import read_secret

pytestmark = pytest.mark.integration

STACK = f"dev-restore-{os.getpid()}"
PREFIX = f"runbook-{STACK}"
HAPROXY = (
    "mkdir -p /routes && printf '%s' \"$1\" > /routes/00-base.cfg && chmod 755 /routes && "
    "exec haproxy -W -db -S 127.0.0.1:8999 -f /routes"
)
SERVER = """
import http.server, os, pathlib
release = os.environ["RELEASE"]
pathlib.Path("/run/secrets").mkdir(parents=True, exist_ok=True)
pathlib.Path("/run/secrets/WAHA_WEBHOOK_SECRET").write_text("of " + release)
class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(release))); self.end_headers()
        self.wfile.write(release.encode())
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("", 8000), Named).serve_forever()
"""


@dataclass
class Stack:
    """A proxy, and r-1 and r-2, each with one web server that answers everything with its release's id."""

    proxy: Container
    webs: dict[str, Container] = field(default_factory=dict)

    @property
    def control(self) -> ProxyControl:
        return ProxyControl(f"{PREFIX}-proxy")

    @property
    def live(self) -> LiveRoute:
        route = self.control.live_route()
        assert route is not None
        return route

    def client(self) -> SteadyClient:
        """One at the public frontend."""
        self.proxy.reload()
        return SteadyClient(int(self.proxy.ports[f"{LIVE_PORT}/tcp"][0]["HostPort"]), ask)


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Any request."""
    connection.request("GET", "/")
    return connection.getresponse()


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    """The containers."""
    engine = docker.from_env()
    with ExitStack() as undo:
        network = engine.networks.create(PREFIX, labels={"runbook.stack": STACK})
        undo.callback(network.remove)

        def run(role: Role, name: str, command: list[str], labels: dict[str, str], **more: Any) -> Container:
            container = engine.containers.run(
                resolve(role, Mode.AUTO).name,
                command,
                entrypoint="",
                name=f"{PREFIX}-{name}",
                network=network.name,
                labels={"runbook.stack": STACK, **labels},
                detach=True,
                user="0",
                **more,
            )
            undo.callback(container.remove, force=True, v=True)
            return container

        webs = {}
        for release in ("r-1", "r-2"):
            labels = {
                "runbook.role": "web",
                "runbook.release": release,
                MANIFEST_LABEL: manifest(release, worker_replicas=0).model_dump_json(),
            }
            webs[release] = run(
                Role.PYTHON,
                f"web-1-{release}",
                ["python3", "-c", SERVER],
                labels,
                environment={"RELEASE": release},
                init=True,
            )
        proxy = run(
            Role.HAPROXY,
            "proxy",
            ["bash", "-c", HAPROXY, "bash", base_config(sandbox=False)],
            {"runbook.role": "proxy"},
            tmpfs={"/run/haproxy": "mode=0777"},
            ports={f"{port}/tcp": ("127.0.0.1", None) for port in (LIVE_PORT, CANDIDATE_PORT, BASELINE_PORT)},
        )
        yield Stack(proxy, webs)


@pytest.fixture
def stack(made: Stack) -> Stack:
    """r-1 went live, then r-2."""
    backend = Backend("r-2", (f"{PREFIX}-web-1-r-2",))
    made.control.put_route("live", live_config(backend, moves_of("r-1", "r-2")))
    return made


def roll_back(*, force: bool) -> None:
    """As the verb does it, without the state."""
    observed = observe_stack(STACK)
    history = History.of({}, observed)
    target = kept_target(history, observed, None)
    assert target == "r-1"
    shift_to_kept(Restore(STACK, None, "rollback", "slow", force), history, observed, target)


def test_the_traffic_moves_without_a_failed_request_to_a_release_that_was_paused(stack: Stack) -> None:
    """Nothing but the engine is asked; the route notes the move."""
    stack.webs["r-1"].pause()
    with stack.client() as client:
        client.wait_for("r-2", 50)
        roll_back(force=True)
        client.wait_for("r-1", 100)
        before = client.answers["r-2"]
        client.wait_for("r-1", client.answers["r-1"] + 100)
        assert client.answers["r-2"] - before <= 8  # those on their way
    assert client.failures == []
    assert (stack.live.release, stack.live.moves[-1].replaced) == ("r-1", "r-2")
    stack.webs["r-1"].reload()
    assert stack.webs["r-1"].status == "running"


def test_a_release_that_somebody_stopped_is_started(stack: Stack) -> None:
    """It answers as soon as it can."""
    stack.webs["r-1"].stop(timeout=0)
    roll_back(force=True)
    with stack.client() as client:
        client.wait_for("r-1", 20)
    assert "r-2" not in client.answers


@pytest.mark.parametrize("status", ["running", "paused", "exited"])
def test_a_secret_is_read_from_a_container_in_any_state(stack: Stack, status: str) -> None:
    """It need not run for that."""
    web = stack.webs["r-1"]
    if status == "paused":
        web.pause()
    elif status == "exited":
        web.stop(timeout=0)
    try:
        assert read_secret(observe_stack(STACK), "r-1", "WAHA_WEBHOOK_SECRET") == "of r-1"
        assert read_secret(observe_stack(STACK), "r-1", "WAHA_API_KEY") is None
    finally:
        if status == "paused":
            web.unpause()
        web.start()


def test_what_smoke_refuses_gets_no_request(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The real suite, through the real candidate frontend: what answers there is not our service."""
    monkeypatch.setattr("infra.release_record.BUILD", tmp_path)
    # Each has a secret of its own.
    monkeypatch.setattr("runbook.restore_checks.check_signed", lambda *_: None)
    monkeypatch.setattr("runbook.restore_checks.observe_signer", lambda *_, **_more: None)
    with stack.client() as client:
        client.wait_for("r-2", 50)
        with pytest.raises(RunbookError, match="gate: smoke, short refused release r-1") as refusal:
            roll_back(force=False)
        client.wait_for("r-2", client.answers["r-2"] + 50)
    assert set(client.answers) == {"r-2"}
    assert client.failures == []
    assert stack.live.moves == moves_of("r-1", "r-2")
    assert "nothing was moved" in refusal.value.hint
    assert "of r-1" not in str(refusal.value)
