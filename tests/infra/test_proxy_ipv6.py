"""A network that gives its names IPv6 addresses too, where the servers listen on IPv4 alone."""

from __future__ import annotations

import http.client
import random
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from abandoned import OURS, remove_abandoned
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool
from steady_client import SteadyClient

from infra.base_images import Mode, Role, ensure, resolve
from infra.haproxy_config import LIVE_PORT, Backend, base_config, route_config
from infra.proxy_control import ProxyControl

pytestmark = pytest.mark.integration

STACK = f"{OURS}-ipv6"
NAME = f"runbook-{STACK}"
LABELS = {"runbook.stack": STACK}
SERVERS = (f"{NAME}-A.b_c-1", f"{NAME}-A.b_c-2")
"""A stack's name may have dots, underscores and capital letters."""

SERVER = """
import http.server
class Served(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Served).serve_forever()
"""
HAPROXY = """
mkdir -p /routes && printf %s "$1" > /routes/00-base.cfg && exec haproxy -W -db -S 127.0.0.1:8999 -f /routes
"""


@pytest.fixture
def proxy() -> Iterator[Container]:
    """A proxy and two servers on such a network."""
    remove_abandoned()
    engine = docker.from_env()
    subnet = f"fd00:7a1a:{random.randrange(16**4):x}::/64"
    with ExitStack() as undo:
        network = engine.networks.create(
            NAME, enable_ipv6=True, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]), labels=LABELS
        )
        undo.callback(network.remove)

        def run(role: Role, name: str, command: list[str], **more: object) -> Container:
            image = resolve(role, Mode.AUTO)
            ensure(image, print)
            container = engine.containers.run(
                image.name,
                command,
                entrypoint="",
                name=name,
                network=NAME,
                labels=LABELS,
                detach=True,
                **more,
            )
            undo.callback(container.remove, force=True, v=True)
            return container

        for name in SERVERS:
            run(Role.PYTHON, name, ["python3", "-c", SERVER], init=True)
        yield run(
            Role.HAPROXY,
            f"{NAME}-proxy",
            ["bash", "-c", HAPROXY, "bash", base_config(sandbox=False)],
            user="0",
            tmpfs={"/run/haproxy": "mode=0777"},
            ports={f"{LIVE_PORT}/tcp": ("127.0.0.1", None)},
        )


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Whatever it may be."""
    connection.request("GET", "/")
    return connection.getresponse()


def test_every_server_is_asked_where_it_listens(proxy: Container) -> None:
    """From the first moment after a reload on, and while the names are resolved again each second."""
    control = ProxyControl(proxy.name or "")
    control.put_route("live", route_config("live", Backend("r-1", SERVERS)))
    proxy.reload()
    port = int(proxy.ports[f"{LIVE_PORT}/tcp"][0]["HostPort"])
    with SteadyClient(port, ask) as client:
        for _ in range(3):
            control.put_route("live", route_config("live", Backend("r-1", SERVERS)))
            client.wait_for("ok", client.answers["ok"] + 150)
    assert client.failures == []
    said = proxy.logs().decode()
    assert "Connection refused" not in said
    assert "fd00:" not in said
