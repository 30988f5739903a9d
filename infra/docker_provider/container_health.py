"""Waiting for a started container to be what was asked for: running, or healthy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from infra.docker_provider.container_values import dig
from infra.docker_provider.engine import Engine

Json = Mapping[str, Any]

_LOG_LINES = 5


def inspect(engine: Engine, container: str) -> Json:
    """The engine's description of *container* (id or name).

    Raises:
        NotThere: no such container.
    """
    seen: Json = engine.call(
        f"container {container}: cannot be read", lambda api: api.inspect_container(container)
    )
    return seen


def is_running(seen: Json) -> bool:
    """Whether the container runs now; one between two restarts does."""
    return bool(dig(seen, "State.Running"))


def unmet(engine: Engine, container: str, inputs: Json) -> str:
    """Wait as the inputs ask, and say what the container fails to be; empty when it is as it should be."""
    if not inputs.get("start"):
        return ""
    if inputs.get("wait"):
        return _until_healthy(engine, container, inputs["waitTimeout"])
    if inputs.get("mustRun") and not inputs.get("attach") and not inputs.get("rm"):
        seen = inspect(engine, container)
        return "" if is_running(seen) else _exited(engine, container, seen)
    return ""


def _until_healthy(engine: Engine, container: str, within_s: float) -> str:
    deadline = time.monotonic() + within_s
    while True:
        seen = inspect(engine, container)
        health = dig(seen, "State.Health.Status")
        if health == "healthy":
            return ""
        if not health:
            return "`wait` was asked for, but it has no health check; give it one or leave `wait` out"
        if not is_running(seen):
            return _exited(engine, container, seen)
        if time.monotonic() > deadline:
            return f"failed to be in healthy state within {within_s:g} s: it is {health}{_last_check(seen)}"
        if engine.pause():
            return f"was not waited for any longer: the update was cancelled while it was {health}"


def _last_check(seen: Json) -> str:
    log = dig(seen, "State.Health.Log")
    if not log:
        return ", and no check has ended yet"
    output = " ".join(log[-1].get("Output", "").split())
    return f"; the last check ended with {log[-1].get('ExitCode')}{output and f': {output}'}"


def _exited(engine: Engine, container: str, seen: Json) -> str:
    said = engine.call(
        f"container {container}: its log cannot be read", lambda api: api.logs(container, tail=_LOG_LINES)
    )
    lines = " | ".join(said.decode(errors="replace").split("\n")).strip(" |")
    return f"exited with code {dig(seen, 'State.ExitCode')} instead of running{lines and f': {lines}'}"
