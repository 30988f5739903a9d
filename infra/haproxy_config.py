"""The proxy's configuration as text: one base file, one file per route."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

LIVE_PORT = 8080
CANDIDATE_PORT = 8081
SANDBOX_PORT = 8082
BASELINE_PORT = 8083
MONITORING_PORT = 8084
LIVE_RELEASE_PORT = 8405
WEB_PORT = 8000

MAX_CONNECTIONS = 6000
"""A slow client costs 17 kB: all of them fit the proxy's container."""

MOST_PER_ADDRESS = MAX_CONNECTIONS // 3
"""Connections at once from one address: too few to keep the others out.

A WAHA that comes back with a backlog, each webhook on a connection of its own, has needed more than 1000.
"""

RouteName = Literal["live", "candidate", "baseline"]
"""`live` is the public frontend; the others are on loopback, and only their releases' gate lanes behind them.

`candidate` leads to the release that is to go live, `baseline` during a gate to the one that is.
"""

# Where no server takes a webhook, WAHA learns when to come again, as it does from the service itself.
_HEADERS = "hdr Retry-After 2 hdr X-Content-Type-Options nosniff hdr Cache-Control no-store"
_UNAVAILABLE = f"""{_HEADERS} string '{{"error":{{"code":"unavailable","message":"no server is up"}}}}'"""

_BASE = f"""\
global
  maxconn {MAX_CONNECTIONS}
  log stdout format raw local0 notice
  stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners
  hard-stop-after 30s

defaults
  mode http
  log global
  option dontlognull
  option redispatch 1
  # After a reload the old process must answer, with `Connection: close`, whatever comes on its idle
  # connections: closing them at once would race with requests already under way.
  option idle-close-on-response
  retries 3
  # Safe for webhooks: a message that arrives twice is taken once.
  retry-on conn-failure empty-response
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  # Head and body (its first 16 kB) have to be here within `http-request` before a server hears of them:
  # slow clients wait in the proxy, and take no server's connection from others.
  option http-buffer-request
  timeout http-request 10s
  timeout http-keep-alive 10s
  timeout queue 10s
  # Redis and the disk may stall, for all servers at once: a webhook waits that out, and must not find them
  # down. Where a process is gone its connections are refused, and another server is asked at once.
  timeout check 3s
  http-error status 503 content-type application/json {_UNAVAILABLE}
  # Names may have IPv6 addresses too, where nobody listens. This tells the resolver; `ipv4@` tells libc.
  default-server check inter 1s fastinter 200ms fall 2 rise 1 init-addr last,libc,none resolvers docker
  default-server resolve-prefer ipv4

resolvers docker
  nameserver dns 127.0.0.11:53
  hold valid 1s
  hold nx 1s
  resolve_retries 3
  timeout resolve 1s
  timeout retry 1s

frontend health
  bind :8404
  monitor-uri /healthz
  http-request use-service prometheus-exporter if {{ path /metrics }}
"""

_SANDBOX = f"""
frontend sandbox
  bind :{SANDBOX_PORT}
  default_backend sandbox

backend sandbox
  server sandbox ipv4@sandbox:9000
"""

_SET_LANE = "http-request set-header X-Gate-Lane 1"
_LANE = {
    # Nobody outside chooses the lane; whoever comes through a loopback frontend can reach no other.
    "live": "http-request del-header X-Gate-Lane",
    "candidate": _SET_LANE,
    "baseline": _SET_LANE,
}
_PER_ADDRESS = (
    "  stick-table type ipv6 size 100k expire 1m store conn_cur",
    "  tcp-request connection track-sc0 src",
    f"  tcp-request connection reject if {{ sc0_conn_cur gt {MOST_PER_ADDRESS} }}",
)
_CLOSED = "  http-request deny deny_status 404 if { path,url_dec -m beg /metrics }"
"""Paths that nobody outside is to see."""

_PORT = {"live": LIVE_PORT, "candidate": CANDIDATE_PORT, "baseline": BASELINE_PORT}
_SERVER_LINE = re.compile(r"^  server (\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class Backend:
    """The web servers (host names) of one release."""

    release: str
    servers: tuple[str, ...]


def base_config(*, sandbox: bool, monitoring: bool = False, grafana: bool = False) -> str:
    """The part that no release changes: limits, timeouts, the frontends of health, sandbox and monitors."""
    return _BASE + (_SANDBOX if sandbox else "") + (_monitoring(grafana=grafana) if monitoring else "")


def _monitoring(*, grafana: bool) -> str:
    """The frontend of the monitors that have pages.

    No page of another site reaches it through a browser on this machine, or shows it: such come with their
    own name, or say where they are from. Alertmanager's status shows the heartbeat's address.
    """
    backends = {"prometheus": 9090, "alertmanager": 9093, **({"grafana": 3000} if grafana else {})}
    return "\n".join(
        [
            "",
            "frontend monitoring",
            f"  bind :{MONITORING_PORT}",
            "  http-request deny unless { req.hdr(host),host_only -m str 127.0.0.1 localhost }",
            "  acl is_elsewhere req.hdr(origin) -m found",
            "  acl is_here req.hdr(origin) -m beg http://127.0.0.1: http://localhost:",
            "  http-request deny if is_elsewhere !is_here",
            "  acl is_link req.hdr(sec-fetch-mode) -m str navigate",
            "  http-request deny if { req.hdr(sec-fetch-site) -m str cross-site } !is_link",
            "  http-request deny if { path,url_dec -m reg alertmanager.*/status }",
            "  http-response set-header X-Frame-Options DENY",
            "  http-request redirect location /prometheus/ if { path / }",
            *(f"  use_backend {name} if {{ path_beg /{name} }}" for name in backends),
            "  default_backend prometheus",
            *(f"\nbackend {name}\n  server {name} ipv4@{name}:{port}" for name, port in backends.items()),
            "",
        ]
    )


def route_config(route: RouteName, to: Backend) -> str:
    """The frontend *route*, which leads *to* a release; the live one has more: `infra.live_route`."""
    # Whoever tests through it can see that it is the release meant.
    named = f"  http-response set-header X-Release {to.release}"
    lines = [*frontend_lines(route), named, f"  default_backend {route}", *backend_lines(route, to)]
    return "\n".join(lines) + "\n"


def backend_in(config: str) -> Backend | None:
    """The release of the first backend in a route's *config*; None where it names none."""
    section = config.partition("\n  # release ")[2].partition("\n\n")[0]
    release, servers = section.partition("\n")[0], _SERVER_LINE.findall(section)
    return Backend(release, tuple(servers)) if release and servers else None


def frontend_lines(route: RouteName) -> list[str]:
    """The frontend's head, without what it leads to."""
    return [
        f"frontend {route}",
        f"  bind :{_PORT[route]}",
        *((*_PER_ADDRESS, _CLOSED) if route == "live" else ()),
        f"  {_LANE[route]}",
        "  http-request set-header X-Forwarded-For %[src]",
    ]


def backend_lines(name: str, backend: Backend) -> list[str]:
    """A release's servers as the backend *name*."""
    return [
        "",
        f"backend {name}",
        f"  # release {backend.release}",
        "  balance leastconn",
        "  option httpchk GET /api/health/ready",
        *[f"  server {server} ipv4@{server}:{WEB_PORT} maxconn 1000" for server in backend.servers],
    ]
