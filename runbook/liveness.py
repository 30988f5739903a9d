"""Whether all runs and the live release answers: an update is done then, not when the CLI says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import requests
from docker.errors import DockerException
from docker.models.containers import Container

from infra.errors import Refused
from infra.haproxy_config import LIVE_PORT
from infra.live_route import LiveRoute
from infra.observed import ROLE_LABEL, stack_containers
from infra.proxy_control import ProxyControl
from infra.stack_name import prefix_of
from infra.stack_settings import url_at
from runbook.live_service import live_service

_WITHIN_S = 10.0
_ANSWER_S = 2.0
_POLL_INTERVAL_S = 0.2
_UNTAKEN_S = 60.0
_SECOND_LOOK_S = 3.0


@dataclass(frozen=True)
class Expected:
    """What an update is to have left: the *release* at *url*, and all *containers* (ids) running."""

    stack: str
    url: str
    release: str
    containers: Set[str]


def proxy_of(stack: str) -> ProxyControl:
    """The proxy of *stack*."""
    return ProxyControl(f"{prefix_of(stack)}-proxy")


def published_url(containers: Iterable[Container], port: int = LIVE_PORT) -> str | None:
    """Where the proxy among *containers* publishes the frontend at *port*; None where it does not run.

    Not what this checkout's layout says: that may not be deployed yet, or be another checkout's.
    """
    for container in containers:
        bindings = container.ports.get(f"{port}/tcp")
        if bindings and container.labels.get(ROLE_LABEL) == "proxy":
            return url_at(bindings[0]["HostIp"] or "0.0.0.0", bindings[0]["HostPort"])  # noqa: S104
    return None


def why_stack_silent(stack: str) -> str | None:
    """None where the public frontend of *stack* is ready now, asked where its proxy publishes it."""
    url = published_url(stack_containers(stack, docker.from_env(), stopped=False))
    return why_silent(url, 0) if url else "its proxy does not run"


def live_route(stack: str) -> LiveRoute | None:
    """Where the proxy of *stack* sends live traffic; None where there is none."""
    return proxy_of(stack).live_route()


def ask_queue(stack: str) -> dict[str, Any]:
    """How the lanes of *stack* stand, as its live release shows them."""
    return live_service(stack).ask("queue", "show")


def why_untaken(
    stack: str,
    url: str,
    ask: Callable[[str], dict[str, Any]] = ask_queue,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """For how long live messages wait that no worker takes; None if one does, or nobody can tell.

    The service calls itself degraded during a stall. The queue, which takes a second to answer, is not asked
    where it calls itself healthy; whatever else it says may hide a stall.
    """
    if _is_healthy(url):
        return None
    try:
        first = _waiting(ask(stack))
        if first is None or first[1] < _UNTAKEN_S:
            return None
        sleep(_SECOND_LOOK_S)
        second = _waiting(ask(stack))
    except (Refused, DockerException, requests.RequestException):
        return None
    if second is None or second[0] != first[0]:
        return None
    return f"messages have waited for {second[1]:.0f} s, and no worker takes any"


def _is_healthy(url: str) -> bool:
    """Whether the service calls itself healthy; one that says nothing does not."""
    try:
        with httpx.Client(timeout=_ANSWER_S, trust_env=False) as client:
            return bool(client.get(f"{url}/api/health").json()["status"] == "healthy")
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False


def _waiting(shown: dict[str, Any]) -> tuple[str | None, float] | None:
    """The last message that was taken, and how many seconds the oldest other one waits; None if none does."""
    live: dict[str, Any] = next((lane for lane in shown["lanes"] if lane["lane"] == "live"), {})
    oldest_ms = live.get("oldest_waiting_ms")  # a release that is older than this does not tell
    if oldest_ms is None:
        return None
    return live["last_delivered_id"], (shown["time"] - oldest_ms) / 1000


def why_not_live(
    expected: Expected,
    engine: docker.DockerClient | None = None,
    route_of: Callable[[str], LiveRoute | None] = live_route,
    untaken: Callable[[str, str], str | None] = why_untaken,
) -> str | None:
    """What of a stack is not as *expected*; None if all is."""
    # Without asking for each: others on the engine come and go. One between two restarts is listed, too.
    listed = (engine or docker.from_env()).containers.list(sparse=True)
    running = {str(each.id) for each in listed if each.status == "running"}
    if gone := len(expected.containers - running):
        return f"{gone} of {len(expected.containers)} containers do not run"
    try:
        route = route_of(expected.stack)
    except Refused as error:
        return str(error)
    return (
        why_misrouted(route, expected.release)
        or why_silent(expected.url)
        or untaken(expected.stack, expected.url)
    )


def why_misrouted(route: LiveRoute | None, release: str) -> str | None:
    """None if *route* leads to *release* alone: a killed update may leave a step."""
    if route is None or route.release != release:
        return f"the proxy leads to {route.release if route else 'no release'}, not to {release}"
    return "the proxy leads to a canary, too" if route.canary else None


def why_silent(url: str, within_s: float = _WITHIN_S) -> str | None:
    """None once the public frontend at *url* says it is ready; after *within_s*, what it did last."""
    deadline = time.monotonic() + within_s
    # Asked directly: a proxy from the environment is not for a stack's own addresses.
    with httpx.Client(timeout=_ANSWER_S, trust_env=False) as client:
        while problem := _problem(client, f"{url}/api/health/ready"):
            if time.monotonic() > deadline:
                return problem
            time.sleep(_POLL_INTERVAL_S)
    return None


def _problem(client: httpx.Client, url: str) -> str | None:
    try:
        status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"GET {url}: {str(error) or type(error).__name__}"
    return None if status == httpx.codes.OK else f"GET {url} answered {status}"
