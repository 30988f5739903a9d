"""HAProxy: the only container with a published port. The `Route` resources write its routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from infra.components.hardening import collected_logs, hardened, seed
from infra.components.sizes import PROXY_MEMORY_MB
from infra.components.stack_context import StackContext, as_it_was
from infra.haproxy_config import (
    BASELINE_PORT,
    CANDIDATE_PORT,
    LIVE_PORT,
    MONITORING_PORT,
    SANDBOX_PORT,
    base_config,
)
from infra.replacement import LABEL, Decision, SharedContainer
from infra.stack_settings import StackSettings

ROUTES = "/routes"
_ALIVE = (
    "exec 3<>/dev/tcp/127.0.0.1/8404 && "
    "printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"
)
_OUTAGE_S = (2, 20)


@dataclass(frozen=True)
class ProxyArgs:
    """What the proxy needs to know. `decision`: what becomes of the one that runs."""

    context: StackContext
    image: pulumi.Input[str]
    layout: StackSettings
    decision: Decision
    has_grafana: bool = False


class Proxy(pulumi.ComponentResource):
    """The proxy's container and the volume with its routes.

    A release's traffic must survive a change of the base configuration: that is seeded into the volume
    and taken by the next reload, which the routes do because `base_hash` is among their inputs.
    """

    container: docker.Container
    base: str

    def __init__(self, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, as_it_was(args.decision.as_it_was))
        super().__init__("runbook:infra:Proxy", "proxy", None, opts)
        context, name = args.context, f"{args.context.prefix}-proxy"
        self.base = base_config(
            sandbox=args.layout.sandbox, monitoring=args.layout.monitoring, grafana=args.has_grafana
        )
        routes = context.volume("proxy-routes", self)
        seeded = seed(
            f"{name}-routes",
            context=context,
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
            networks_advanced=context.joined("proxy"),
            volumes=[{"volume_name": routes.name, "container_path": ROUTES}],
            labels=context.labels(role="proxy", **{LABEL: args.decision.fingerprint}),
            **_arguments(args.layout),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[seeded]),
        )
        self.register_outputs({"container": self.container.name})


def shared_proxy(prefix: str, image: str, layout: StackSettings, network: dict[str, Any]) -> SharedContainer:
    """The proxy's container as it would be made now, for `infra.replacement`."""
    arguments = _arguments(layout)
    return SharedContainer(
        name=f"{prefix}-proxy",
        image=image,
        arguments={**arguments, "network": network, "volumes": {"proxy-routes": ROUTES}},
        outage_s=_OUTAGE_S,
        ports=[(port["ip"], port["external"]) for port in arguments["ports"]],
    )


def _arguments(layout: StackSettings) -> dict[str, Any]:
    """What the container is, but for its image, network and volume."""
    return {
        "entrypoints": ["haproxy"],
        "command": ["-W", "-db", "-S", "127.0.0.1:8999", "-f", ROUTES],
        "ports": _ports(layout),
        # At a start each name that nobody has yet is waited for, where the DNS outside does not answer.
        "dns_opts": ["timeout:1", "attempts:2"],
        "healthcheck": {
            "tests": ["CMD", "bash", "-c", _ALIVE],
            "interval": "2s",
            "timeout": "2s",
            "retries": 15,
        },
        "wait": True,
        "wait_timeout": 60,
        # The master process is the first one, and SIGUSR1 is its way to end what is under way.
        **hardened(
            "99:99",
            PROXY_MEMORY_MB,
            {"/run/haproxy": 1},
            init=False,
            stop_signal="SIGUSR1",
            **collected_logs(layout),
        ),
    }


def _ports(layout: StackSettings) -> list[dict[str, Any]]:
    published = {
        LIVE_PORT: (layout.bind, layout.port),
        CANDIDATE_PORT: ("127.0.0.1", layout.candidate_port),
        BASELINE_PORT: ("127.0.0.1", layout.baseline_port),
    }
    if layout.sandbox:
        published[SANDBOX_PORT] = ("127.0.0.1", layout.sandbox_port)
    if layout.monitoring:
        published[MONITORING_PORT] = ("127.0.0.1", layout.monitoring_port)
    return [
        {"internal": internal, "external": external, "ip": address}
        for internal, (address, external) in published.items()
    ]
