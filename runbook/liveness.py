"""Whether all runs and the live release answers: an update is done then, not when the CLI says so."""

from __future__ import annotations

import time
from collections.abc import Set

import docker
import httpx

_WITHIN_S = 10.0
_ANSWER_S = 2.0
_LOOK_EACH_S = 0.2


def why_not_live(url: str, must_run: Set[str], engine: docker.DockerClient | None = None) -> str | None:
    """What is wrong with a stack, whose containers are *must_run* (ids) and whose frontend is *url*."""
    running = {str(container.id) for container in (engine or docker.from_env()).containers.list()}
    if gone := len(must_run - running):
        return f"{gone} of {len(must_run)} containers do not run"
    return why_silent(url)


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
        return f"GET {url}: {error or type(error).__name__}"
    return None if status == httpx.codes.OK else f"GET {url} answered {status}"
