"""The containers that all releases share, proxy and Redis, are not replaced unless that was asked for.

Nearly every change of a container replaces it, which is an outage: the old one is stopped first. So each
carries a label with a hash of everything that it consists of. The program compares it with what it is about
to declare, before anything is created.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker
import pulumi
from docker.errors import NotFound

from infra.base_images import is_fixed
from infra.deploy_request import DeployRequest
from infra.errors import Refused
from infra.ports import holder_of
from infra.stack_config import for_this_stack

LABEL = "fingerprint"
_DIGITS = 8
_HOW = (
    "nothing was changed; to replace what is named above, at a quiet time: `bin/runbook up "
    "--replace-infrastructure`, or "
    """`RUNBOOK_DEPLOY_REQUEST='{"replace_infrastructure": true}' bin/pulumi up`"""
)


@dataclass(frozen=True)
class SharedContainer:
    """One of these containers as the program would make it now.

    `arguments` is all that decides what it is, beside its `image`, as plain values. `outage_s`: for so long
    nobody is served while it is replaced, typically and at most. `ports` are published: address and number.
    """

    name: str
    image: str
    arguments: Mapping[str, Any]
    outage_s: tuple[int, int]
    ports: Sequence[tuple[str, int]] = ()

    def fingerprint(self, image: str | None = None) -> str:
        """A short hash of each argument, and of *image*, by its name: what differs can be named."""
        parts = sorted({**self.arguments, "image": image or self.image}.items())
        return ",".join(f"{name}={_hash(value)}" for name, value in parts)


@dataclass(frozen=True)
class Decision:
    """What becomes of one of them.

    `fingerprint` is its label. `image` is the one that it runs on and keeps; None where it gets the planned
    one. `as_it_was`: it stays, whatever the program declares.
    """

    fingerprint: str
    image: str | None = None
    as_it_was: bool = False


def decide(
    wanted: Sequence[SharedContainer],
    request: DeployRequest,
    engine: docker.DockerClient | None = None,
    others: Mapping[str, Sequence[tuple[str, int]]] | None = None,
) -> list[Decision]:
    """What becomes of each of the *wanted*, before anything is declared. A preview only says what is wrong.

    *others*: the ports that containers publish which may be replaced at any time, by container.

    Raises:
        Refused: one would be replaced and that was not asked for, or a port is taken.
    """
    engine = engine or docker.from_env()
    decisions, problems, ports = [], [], []
    for each in wanted:
        running = _running(each.name, engine)
        decision = _kept(each, running, request) if running else None
        if decision is None:
            decision = Decision(each.fingerprint())
            problems += _replaced(each, running, request) if running else []
            ports += _taken_ports(each.ports, running, engine)
        decisions.append(decision)
    for name, published in (others or {}).items():
        ports += _taken_ports(published, _running(name, engine), engine)
    if (problems or ports) and (request.is_rehearsal or not pulumi.runtime.is_dry_run()):
        raise Refused("\n".join([*problems, *ports]), _HOW if problems else "")
    for problem in [*problems, *ports, *([_HOW] if problems else [])]:
        pulumi.log.warn(for_this_stack(problem))
    return decisions


def _kept(wanted: SharedContainer, running: _Running, request: DeployRequest) -> Decision | None:
    """How the container that runs can stay; None if it cannot, or is not to."""
    if is_fixed(running.image) and not request.replace_infrastructure:
        # Which image was chosen when it was made is no reason to replace it.
        fingerprint = wanted.fingerprint(running.image)
        if fingerprint == running.fingerprint:
            if wanted.image != running.image:
                kept = f"{wanted.name} keeps its image {running.image}; there is {wanted.image}"
                pulumi.log.info(
                    f"{kept}: {for_this_stack('`bin/runbook up --replace-infrastructure`')} takes it"
                )
            return Decision(fingerprint, running.image)
    if request.verb != "up":
        pulumi.log.warn(f"{wanted.name} stays as it is: {request.verb} changes no infrastructure")
        return Decision(running.fingerprint, running.image, as_it_was=True)
    same = wanted.fingerprint() == running.fingerprint
    return Decision(running.fingerprint) if same else None


def _replaced(wanted: SharedContainer, running: _Running, request: DeployRequest) -> list[str]:
    """Why the container may not be replaced; where it may, that is said with what it costs."""
    typical, longest = wanted.outage_s
    what = (
        f"{wanted.name} is replaced ({_difference(running.fingerprint, wanted.fingerprint())}): "
        f"about {typical} s without service, {longest} s at most"
    )
    if not request.replace_infrastructure:
        return [f"with this update {what}"]
    pulumi.log.info(what)
    return []


def _difference(before: str, after: str) -> str:
    if not before:
        return "an earlier version made it"
    old, new = ({*each.split(",")} for each in (before, after))
    return "changed: " + ", ".join(sorted({part.partition("=")[0] for part in old ^ new}))


def _taken_ports(
    wanted: Sequence[tuple[str, int]], running: _Running | None, engine: docker.DockerClient
) -> list[str]:
    """A line for each port that a container would publish and does not have yet, but somebody else."""
    own = running.ports if running else ()
    holders = {port: holder_of(*port, engine) for port in wanted if port[1] not in own}
    return [
        f"port {number} of {address} is taken: {holder}. Nothing was changed; end that, or take another: "
        "`bin/pulumi config set --path runbook:layout.port NUMBER` (or candidate_port, baseline_port, …)"
        for (address, number), holder in holders.items()
        if holder
    ]


@dataclass(frozen=True)
class _Running:
    """A container that is there; `ports` are the numbers that it publishes."""

    image: str
    fingerprint: str
    ports: tuple[int, ...]


def _running(name: str, engine: docker.DockerClient) -> _Running | None:
    try:
        seen = engine.containers.get(name).attrs
    except NotFound:
        return None
    labels = seen["Config"].get("Labels") or {}
    bindings = (seen["HostConfig"].get("PortBindings") or {}).values()
    ports = tuple(int(each["HostPort"]) for published in bindings for each in published)
    return _Running(seen["Config"]["Image"], labels.get(f"runbook.{LABEL}", ""), ports)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]
