"""Whether all runs and the live release answers: an update is done then, not when the CLI says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from dataclasses import dataclass

import docker
import httpx

from infra.haproxy_config import backend_in
from infra.proxy_control import ProxyControl
from runbook.workspace import bare_name

_WITHIN_S = 10.0
_ANSWER_S = 2.0
_LOOK_EACH_S = 0.2


@dataclass(frozen=True)
class Expected:
    """What an update is to have left: the *release* at *url*, and all *containers* (ids) running."""

    stack: str
    url: str
    release: str
    containers: Set[str]


def proxy_of(stack: str) -> ProxyControl:
    """The proxy of *stack*."""
    return ProxyControl(f"runbook-{bare_name(stack)}-proxy")


def live_route(stack: str) -> str | None:
    """What the proxy of *stack* does with live traffic: its configuration; None where there is none."""
    return proxy_of(stack).route("live")


def why_not_live(
    expected: Expected,
    engine: docker.DockerClient | None = None,
    route_of: Callable[[str], str | None] = live_route,
) -> str | None:
    """What of a stack is not as *expected*; None if all is."""
    # Without asking for each: others on the engine come and go.
    running = {str(each.id) for each in (engine or docker.from_env()).containers.list(sparse=True)}
    if gone := len(expected.containers - running):
        return f"{gone} of {len(expected.containers)} containers do not run"
    return why_misrouted(route_of(expected.stack) or "", expected.release) or why_silent(expected.url)


def why_misrouted(config: str, release: str) -> str | None:
    """None if a live route with *config* leads to *release* alone: a killed update may leave a step."""
    backend = backend_in(config)
    if backend is None or backend.release != release:
        return f"the proxy leads to {backend.release if backend else 'no release'}, not to {release}"
    return "the proxy leads to a canary, too" if "\nbackend canary\n" in config else None


def why_silent(url: str, within_s: float = _WITHIN_S) -> str | None:
    """None once the public frontend at *url* says it is ready; after *within_s*, what it did last."""
    deadline = time.monotonic() + within_s
    # Asked directly: a proxy from the environment is not for a stack's own addresses.
    with httpx.Client(timeout=_ANSWER_S, trust_env=False) as client:
        while problem := _problem(client, f"{url}/api/health/ready"):
            if time.monotonic() > deadline:
                return problem
            time.sleep(_LOOK_EACH_S)
    return None


def _problem(client: httpx.Client, url: str) -> str | None:
    try:
        status = client.get(url).status_code
    except httpx.HTTPError as error:
        return f"GET {url}: {str(error) or type(error).__name__}"
    return None if status == httpx.codes.OK else f"GET {url} answered {status}"
