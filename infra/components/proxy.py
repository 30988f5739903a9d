"""HAProxy: the only container with a published port. The `Route` resources write its routes."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.hardening import hardened, seed
from infra.components.place import Place
from infra.haproxy_config import BASELINE_PORT, CANDIDATE_PORT, LIVE_PORT, SANDBOX_PORT, base_config
from infra.stack_config import Layout

ROUTES = "/routes"
_ALIVE = (
    "exec 3<>/dev/tcp/127.0.0.1/8404 && "
    "printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"
)


@dataclass(frozen=True)
class ProxyArgs:
    """What the proxy needs to know."""

    place: Place
    image: pulumi.Input[str]
    layout: Layout


class Proxy(pulumi.ComponentResource):
    """The proxy's container and the volume with its routes.

    A release's traffic must survive a change of the base configuration: that is seeded into the volume
    and taken by the next reload, which the routes do because `base_hash` is among their inputs.
    """

    container: docker.Container
    base: str

    def __init__(self, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:Proxy", "proxy", None, opts)
        place, name = args.place, f"{args.place.prefix}-proxy"
        self.base = base_config(sandbox=args.layout.sandbox)
        routes = place.volume(f"{name}-routes", self)
        seeded = seed(
            f"{name}-routes",
            place=place,
            image=args.image,
            volume=routes,
            mount=ROUTES,
            files={"00-base.cfg": self.base},
            parent=self,
        )
        self.container = docker.Container(
            name,
            name=name,
            image=args.image,
            entrypoints=["haproxy"],
            command=["-W", "-db", "-S", "127.0.0.1:8999", "-f", ROUTES],
            ports=_ports(args.layout),
            networks_advanced=place.joined("proxy"),
            volumes=[docker.ContainerVolumeArgs(volume_name=routes.name, container_path=ROUTES)],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "bash", "-c", _ALIVE], interval="2s", timeout="2s", retries=15
            ),
            wait=True,
            wait_timeout=60,
            labels=place.labels(role="proxy"),
            # The master process is the first one, and SIGUSR1 is its way to end what is under way.
            **hardened(
                "99:99", 192, {"/run/haproxy": "size=1m,mode=0777"}, init=False, stop_signal="SIGUSR1"
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[seeded]),
        )
        self.register_outputs({"container": self.container.name})


def _ports(layout: Layout) -> list[docker.ContainerPortArgs]:
    published = {
        LIVE_PORT: (layout.bind, layout.port),
        CANDIDATE_PORT: ("127.0.0.1", layout.candidate_port),
        BASELINE_PORT: ("127.0.0.1", layout.baseline_port),
    }
    if layout.sandbox:
        published[SANDBOX_PORT] = ("127.0.0.1", layout.sandbox_port)
    return [
        docker.ContainerPortArgs(internal=internal, external=external, ip=address)
        for internal, (address, external) in published.items()
    ]
