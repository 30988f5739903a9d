"""The deploy lock of a stack: who holds it, and whether they still live.

It lies where the stack does: it is a volume of the Docker engine, whose labels say who holds it. Creating a
volume that exists gives the one that is there, so of many who try at once exactly one finds its own token on
it. Beside it lies a second volume, the lease: it says until when the holder is to be believed. A process
renews it; one that was killed on another machine, as a cancelled CI job is, holds nobody up for longer.
`docker volume prune` of an engine before version 23 removes both, as it does all volumes that no container
uses; Pulumi's own lock stands behind this one.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from contextlib import suppress

import docker
import requests
from docker.errors import DockerException, NotFound

from infra.cache_folder import cache_folder
from infra.errors import Refused
from infra.file_lock import held
from infra.lock_holder import Holder, Kind
from infra.proxy_control import ProxyControl
from infra.stack_name import prefix_of

LEASE_S = 60.0
RENEW_INTERVAL_S = 10.0

TOKEN = "RUNBOOK_LOCK_TOKEN"  # noqa: S105 - the name of a variable
"""In the environment of what a holder runs: the program refuses to deploy past a lock that is not its own."""

_LEASE_LABEL = "runbook.lease"
_UNTIL_LABEL = "runbook.lease.until"


class DeployLock:
    """The lock of *stack* (its bare name) in *engine*."""

    def __init__(
        self,
        stack: str,
        engine: docker.DockerClient | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.stack = stack
        self._engine = engine or docker.from_env()
        self._clock = clock or self._engine_time
        self._name = f"runbook-{self.stack}-deploy-lock"

    def read(self) -> Holder | None:
        """Who holds it; None if nobody does."""
        try:
            volume = self._engine.volumes.get(self._name)
        except NotFound:
            return None
        return Holder.from_labels(volume.attrs.get("Labels") or {})

    def take(self, holder: Holder) -> Holder:
        """Give it to *holder* if it is free; who holds it now."""
        # Not `runbook.stack`: that label is for what an update makes and recovery may remove.
        labels = {"runbook.lock": self.stack, **holder.as_labels()}
        while (found := self.read()) is None:
            if holder.kind is Kind.PROCESS:
                self.renew(holder)  # first: a lock without a lease would be a dead one's
            self._engine.volumes.create(name=self._name, labels=labels)
        if found.token == holder.token:
            self._remove_expired()
        return found

    def renew(self, holder: Holder) -> None:
        """Let *holder*'s lease end `LEASE_S` from now."""
        until = self._clock() + LEASE_S
        name = f"{self._name}-lease-{holder.token[:8]}-{until:.2f}"
        before = self._leases(holder).keys() - {name}
        self._engine.volumes.create(name=name, labels={_LEASE_LABEL: holder.token, _UNTIL_LABEL: str(until)})
        for earlier in before:
            self._remove_volume(earlier)

    def is_gone(self, holder: Holder) -> bool:
        """Whether *holder* ended without ending the lock: its process, or its lease if it is elsewhere."""
        if holder.kind is not Kind.PROCESS or holder.pid == 0:
            return False
        if holder.is_near:
            return holder.is_gone
        return max(self._leases(holder).values(), default=0.0) < self._clock()

    def remove(self, holder: Holder) -> bool:
        """End the lock if *holder* still has it; whether it did.

        The engine removes by name alone. So that of two who find the same stale lock the second does not
        remove what the first has taken, those of this machine look and remove one at a time.
        """
        with held(cache_folder() / "locks" / f"deploy-{self.stack}"):
            found = self.read()
            is_theirs = found is not None and found.token == holder.token
            if is_theirs:
                is_theirs = self._remove_volume(self._name)
        for name in self._leases(holder):
            self._remove_volume(name)
        return is_theirs

    def _engine_time(self) -> float:
        """Seconds since 1970: all who share the engine have its clock, while their own differ by minutes."""
        return datetime.datetime.fromisoformat(self._engine.info()["SystemTime"]).timestamp()

    def _leases(self, holder: Holder) -> dict[str, float]:
        """By name of the volume, until when *holder* is to be believed (epoch seconds)."""
        found = self._engine.volumes.list(filters={"label": f"{_LEASE_LABEL}={holder.token}"})
        return {str(volume.name): _number(volume.attrs["Labels"].get(_UNTIL_LABEL)) for volume in found}

    def _remove_expired(self) -> None:
        """Remove the leases of those who were killed while they waited."""
        for volume in self._engine.volumes.list(
            filters={"label": _LEASE_LABEL, "name": f"{self._name}-lease-"}
        ):
            if _number(volume.attrs["Labels"].get(_UNTIL_LABEL)) < self._clock() - LEASE_S:
                self._remove_volume(str(volume.name))

    def _remove_volume(self, name: str) -> bool:
        with suppress(NotFound):
            self._engine.volumes.get(name).remove()
            return True
        return False


def refuse_locked(stack: str, env: Mapping[str, str] = os.environ, lock: DeployLock | None = None) -> None:
    """See that nobody else deploys *stack*, and that it is not frozen: also where Pulumi is run by hand.

    Raises:
        Refused: somebody does; says who, since when, why.
    """
    lock = lock or DeployLock(stack)
    holder = lock.read()
    if holder is not None and holder.token != env.get(TOKEN) and not lock.is_gone(holder):
        raise refusal(stack, holder)


def refusal(stack: str, holder: Holder) -> Refused:
    """What is said to those who cannot have the lock."""
    if holder.kind is Kind.MANUAL:
        return Refused(
            f"deployments of stack {stack} are frozen by {holder}",
            f"`bin/runbook lock release --stack {stack}` ends the freeze",
        )
    return Refused(
        f"stack {stack} is being worked on by {holder}",
        f"wait for it; if that machine is gone, its lock ends within {LEASE_S:g} s, or by "
        f"`bin/runbook lock break --stack {stack}`",
    )


def forget_stop(stack: str) -> None:
    """Forget that somebody asked the update before, of *stack*, to give up: it is no wish of the next.

    Only where an update begins: from then on a stop is meant for it. A proxy that cannot be asked keeps it.
    """
    with suppress(Refused, DockerException, requests.RequestException):
        ProxyControl(f"{prefix_of(stack)}-proxy").clear_stop()


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
