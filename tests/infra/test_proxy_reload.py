"""A real HAProxy moves a route from one release to the next without losing a request."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from docker.models.containers import Container
from steady_client import SteadyClient

from contracts.targets import read_targets
from infra.base_images import Mode, Role, resolve
from infra.containers import ContainerGone
from infra.errors import Refused
from infra.haproxy_config import LIVE_PORT, Backend, backend_in, base_config, route_config
from infra.proxy_control import ProxyControl
from infra.traffic import Mover, refusal

pytestmark = pytest.mark.integration

LABELS = {"runbook.stack": "test-proxy-reload"}
SERVER = """
import http.server, socket
class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = (socket.gethostname() + " " + self.headers.get("X-Gate-Lane", "live")).encode()
        wrong = {"broken": 500, "refusing": 401 if self.path == "/" else 200}
        self.send_response(wrong.get(socket.gethostname(), 200))
        self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("", 8000), Named).serve_forever()
"""


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """As WAHA would ask, but for a header that must not get through."""
    connection.request("GET", "/", headers={"X-Gate-Lane": "forged"})
    return connection.getresponse()


@pytest.fixture(scope="module")
def proxy() -> Iterator[Container]:
    """A proxy with the base configuration; beside it `old`, `new`, `broken` (500) and `refusing` (401)."""
    engine = docker.from_env()
    with ExitStack() as undo:
        network = engine.networks.create("test-proxy-reload", labels=LABELS)
        undo.callback(network.remove)

        def run(role: Role, name: str, command: list[str], **more: object) -> Container:
            container = engine.containers.run(
                resolve(role, Mode.AUTO).name,
                command,
                entrypoint="",
                name=f"test-proxy-reload-{name}",
                hostname=name,
                network=network.name,
                labels=LABELS,
                detach=True,
                **more,
            )
            undo.callback(container.remove, force=True, v=True)
            return container

        for name in ("old", "new", "broken", "refusing"):
            run(Role.PYTHON, name, ["python3", "-c", SERVER], init=True)
        start = (
            f"mkdir -p /routes && printf '%s' \"$1\" > /routes/00-base.cfg && chmod 755 /routes && {HAPROXY}"
        )
        command = ["bash", "-c", start, "bash", base_config(sandbox=False)]
        yield run(
            Role.HAPROXY,
            "proxy",
            command,
            user="0",
            tmpfs={"/run/haproxy": "mode=0777"},
            ports={f"{LIVE_PORT}/tcp": ("127.0.0.1", None)},
        )


HAPROXY = "exec haproxy -W -db -S 127.0.0.1:8999 -f /routes"


def port_of(container: Container) -> int:
    """Where the live frontend is published."""
    container.reload()
    return int(container.ports[f"{LIVE_PORT}/tcp"][0]["HostPort"])


def name_of(server: str) -> str:
    """A server's name on the network."""
    return f"test-proxy-reload-{server}"


OLD, NEW, BROKEN, REFUSING = (
    Backend(f"r-{server}", (name_of(server),)) for server in ("old", "new", "broken", "refusing")
)
LIMITS = read_targets().switch.model_copy(update={"step_s": 1, "min_samples": 20})


def test_a_route_moves_without_a_failed_request(proxy: Container) -> None:
    """At 200 requests/s over kept-alive connections every request is answered, before, during and after."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", route_config("live", OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 100)
        for server in ("new", "old", "new"):
            control.put_route("live", route_config("live", Backend(f"r-{server}", (name_of(server),))))
            assert control.wait_drained(15)
            before = client.answers[f"{server} live"]
            client.wait_for(f"{server} live", before + 50)
    assert client.failures == []
    assert set(client.answers) == {"old live", "new live"}


def test_traffic_moves_in_steps_judged_by_haproxys_counters(proxy: Container) -> None:
    """Every step has its samples, no request fails, and all of them reach the new release in the end."""
    control, told = ProxyControl(proxy.name or ""), []
    control.put_route("live", route_config("live", OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 50)
        report = Mover(control, told.append, LIMITS).in_steps(OLD, NEW)
        before = client.answers["old live"]
        client.wait_for("new live", client.answers["new live"] + 100)
        assert client.answers["old live"] - before <= 8  # those on their way
    assert client.failures == []
    assert report.verdict == "pass", [str(check) for check in report.checks]
    assert min(check.samples for check in report.checks) >= 20
    assert told == ["r-new"]
    assert backend_in(control.route("live") or "") == NEW


def lost_at_the_first_step(proxy: Container, to: Backend) -> tuple[str, set[str]]:
    """Why *to* lost the traffic, and the statuses of the canary's share of some seconds that failed."""
    control, told = ProxyControl(proxy.name or ""), []
    control.put_route("live", route_config("live", OLD))
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 50)
        report = Mover(control, told.append, LIMITS).in_steps(OLD, to)
        client.wait_for("old live", client.answers["old live"] + 100)
    assert len(client.failures) < 0.15 * client.sent
    assert backend_in(control.route("live") or "") == OLD
    assert told == ["r-old"]
    return refusal(report, to.release, LIMITS)[1], {failure[:3] for failure in client.failures}


def test_a_release_that_fails_loses_the_traffic_at_its_first_step(proxy: Container) -> None:
    """The reason is the proxy's own count."""
    reason, statuses = lost_at_the_first_step(proxy, BROKEN)
    assert "error rate at 5 %: fail: 1, limit 0.01, samples" in reason
    assert statuses <= {"500", "503"}  # 503: its health check failed too


def test_a_release_that_refuses_what_was_taken_loses_the_traffic_at_its_first_step(proxy: Container) -> None:
    """Such as one with another secret than WAHA's: every gate signs with the release's own."""
    reason, statuses = lost_at_the_first_step(proxy, REFUSING)
    assert "refused beyond the live release at 5 %: fail: 1, limit 0.05" in reason
    assert statuses == {"401"}


def test_a_wrong_route_changes_nothing(proxy: Container) -> None:
    """HAProxy checks it first; the file and the traffic stay as they were."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", route_config("live", OLD))
    before = control.route("live")
    with pytest.raises(Refused, match="not valid"):
        control.put_route("live", "frontend live\n  bind :8080\n  no-such-keyword\n")
    assert control.route("live") == before
    with SteadyClient(port_of(proxy), ask) as client:
        client.wait_for("old live", 10)
    assert client.failures == []


def test_a_removed_route_is_closed(proxy: Container) -> None:
    """Nothing listens any more; removing again, or from a proxy that is gone, is no error."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", route_config("live", OLD))
    control.remove_route("live")
    assert control.route("live") is None
    control.remove_route("live")
    ProxyControl("test-proxy-reload-none").remove_route("live")


def test_a_missing_proxy_is_named() -> None:
    """The operator learns which container is not there."""
    assert ProxyControl("test-proxy-reload-none").route("live") is None
    with pytest.raises(ContainerGone, match="test-proxy-reload-none"):
        ProxyControl("test-proxy-reload-none").put_route("live", "")
