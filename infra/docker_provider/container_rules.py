"""What the inputs of a Container must keep to, beyond their types. Checked before anything is touched."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.docker_provider.check import Failure, Rule, shown
from infra.docker_provider.engine_values import nano_cpus_of, nanoseconds_of
from infra.docker_provider.uploads import SOURCES
from infra.docker_provider.wire import UNKNOWN

_HIGHEST_PORT = 65535


def _one_of(*allowed: str) -> Rule:
    def rule(value: Any) -> str | None:
        return None if value in allowed else f"should be one of {', '.join(allowed)}, got {shown(value)}"

    return rule


def _between(low: int, high: int | None = None) -> Rule:
    wanted = f"between {low} and {high}" if high is not None else f"at least {low}"

    def rule(value: Any) -> str | None:
        fits = value >= low and (high is None or value <= high)
        return None if fits else f"should be {wanted}, got {value}"

    return rule


def _parsed_by(parse: Callable[[Any], object], wanted: str) -> Rule:
    def rule(value: Any) -> str | None:
        try:
            parse(value)
        except (ValueError, binascii.Error):
            return f"should be {wanted}, got {shown(value)}"
        return None

    return rule


def _not_empty(value: str) -> str | None:
    return None if value else "should not be empty"


def _gpus(text: str) -> None:
    if text != "all" and not text.startswith("device="):
        raise ValueError(text)


def _option(text: str) -> None:
    if "=" not in text:
        raise ValueError(text)


def _octal(text: str) -> int:
    return int(text, 8)


def _strict_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_DURATION = _parsed_by(nanoseconds_of, "a duration like 30s or 1m30s")
_LIMIT = _between(0)

RULES: Mapping[str, Rule] = {
    "command[]": _not_empty,
    "cpus": _parsed_by(nano_cpus_of, "a number of CPUs like 1.5"),
    "cpuShares": _LIMIT,
    "destroyGraceSeconds": _LIMIT,
    "gpus": _parsed_by(_gpus, "all or device=ID,ID"),
    "networksAdvanced[].driverOpts[]": _parsed_by(_option, "NAME=value"),
    "healthcheck.interval": _DURATION,
    "healthcheck.timeout": _DURATION,
    "healthcheck.startPeriod": _DURATION,
    "healthcheck.startInterval": _DURATION,
    "healthcheck.retries": _LIMIT,
    "maxRetryCount": _LIMIT,
    "memory": _LIMIT,
    "memoryReservation": _LIMIT,
    "memorySwap": _between(-1),
    "mounts[].type": _one_of("bind", "volume", "tmpfs"),
    "ports[].internal": _between(1, _HIGHEST_PORT),
    "ports[].external": _between(0, _HIGHEST_PORT),
    "ports[].protocol": _one_of("tcp", "udp", "sctp"),
    "restart": _one_of("no", "on-failure", "always", "unless-stopped"),
    "shmSize": _LIMIT,
    "stopTimeout": _LIMIT,
    "uploads[].contentBase64": _parsed_by(_strict_base64, "base64"),
    "uploads[].permissions": _parsed_by(_octal, "octal digits like 0444"),
    "waitTimeout": _LIMIT,
}


def conflicts(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """What contradicts itself among the inputs."""
    for index, upload in _known_objects(inputs, "uploads"):
        # An empty content is content: `content` counts when it is there at all.
        given = [name for name in SOURCES if upload.get(name) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            yield Failure(f"uploads[{index}]", f"needs exactly one of {', '.join(SOURCES)}, got {said}")
    for index, volume in _known_objects(inputs, "volumes"):
        if bool(volume.get("containerPath")) == bool(volume.get("fromContainer")):
            yield Failure(f"volumes[{index}]", "needs exactly one of containerPath and fromContainer")
    if inputs.get("maxRetryCount") and inputs.get("restart") not in ("on-failure", UNKNOWN):
        yield Failure(
            "maxRetryCount", f"needs restart on-failure, got restart {shown(inputs.get('restart'))}"
        )
    if inputs.get("gpus") and inputs.get("deviceRequests"):
        yield Failure("gpus", "cannot be given together with deviceRequests")


def _known_objects(inputs: Mapping[str, Any], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    items = inputs.get(name)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield index, item
