"""One deployment of a stack at a time, whichever machine it is started from.

The lock lies where the stack does: it is a volume of the Docker engine, whose labels say who holds it.
Creating a volume that exists gives the one that is there, so of many who try at once exactly one finds its
own token on it. `docker volume prune` of an engine before version 23 removes it, as it does all volumes
that no container uses; Pulumi's own lock stands behind this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import DockerException, NotFound

from infra.cache_folder import cache_folder
from infra.file_lock import held
from runbook.console import say
from runbook.errors import RunbookError
from runbook.lock_holder import Holder, Kind
from runbook.recovery import Patience
from runbook.workspace import bare_name

WAIT_S = 120.0
_LOOK_EACH_S = 0.5
_held: set[str] = set()
"""The stacks whose lock this process has: a verb may call another that wants it too."""


class DeployLock:
    """The lock of *stack* in *engine*."""

    def __init__(self, stack: str, engine: docker.DockerClient | None = None) -> None:
        self.stack = bare_name(stack)
        self._engine = engine or docker.from_env()
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
            self._engine.volumes.create(name=self._name, labels=labels)
        return found

    def remove(self, holder: Holder) -> bool:
        """End the lock if *holder* still has it; whether it did.

        The engine removes by name alone. So that of two who find the same stale lock the second does not
        remove what the first has taken, those of this machine look and remove one at a time.
        """
        with held(cache_folder() / "locks" / f"deploy-{self.stack}"):
            found = self.read()
            if found is None or found.token != holder.token:
                return False
            try:
                self._engine.volumes.get(self._name).remove()
            except NotFound:
                return False
            return True


@contextmanager
def hold(
    stack: str,
    message: str,
    wait_s: float = WAIT_S,
    *,
    waits_for_freeze: bool = False,
    lock: DeployLock | None = None,
    patience: Patience | None = None,
) -> Iterator[None]:
    """Hold the deploy lock of *stack* for the block; *message* tells others what for.

    Whoever holds it is waited for up to *wait_s* seconds; a freeze (a manual lock) only with
    *waits_for_freeze*. A holder whose process is gone from this machine is replaced. Within a block that
    holds it, it is held already.

    Raises:
        RunbookError: somebody else has it still; says who, since when, why.
    """
    name = bare_name(stack)
    if name in _held:
        yield
        return
    lock, mine = lock or DeployLock(name), Holder.here(Kind.PROCESS, message)
    try:
        acquire(lock, mine, patience or Patience(wait_s), waits_for_freeze=waits_for_freeze)
        _held.add(name)
        yield
    finally:
        _held.discard(name)
        _let_go(lock, mine)


def acquire(lock: DeployLock, mine: Holder, patience: Patience, *, waits_for_freeze: bool = False) -> None:
    """Give *lock* to *mine*, waiting for who has it as long as *patience* lasts.

    Raises:
        RunbookError: somebody else has it still.
    """
    deadline, told = patience.now() + patience.wait_s, ""
    while (holder := lock.take(mine)).token != mine.token:
        if holder.is_gone:
            if lock.remove(holder):
                say(f"taking over the deploy lock of a process that is gone: {holder}")
            continue
        is_freeze = holder.kind is Kind.MANUAL and not waits_for_freeze
        if is_freeze or patience.now() >= deadline:
            raise refusal(lock.stack, holder)
        if told != holder.token:
            say(f"waiting up to {patience.wait_s:g} s for the deploy lock of {holder}")
            told = holder.token
        patience.sleep(_LOOK_EACH_S)


def refusal(stack: str, holder: Holder) -> RunbookError:
    """What is said to those who cannot have the lock."""
    if holder.kind is Kind.MANUAL:
        return RunbookError(
            f"deployments of stack {stack} are frozen by {holder}",
            f"`bin/runbook lock release --stack {stack}` ends the freeze",
        )
    return RunbookError(
        f"stack {stack} is being worked on by {holder}",
        f"wait for it; if that machine is gone, `bin/runbook lock break --stack {stack}`",
    )


def _let_go(lock: DeployLock, mine: Holder) -> None:
    """End our lock, if we had it; without the engine it ends with our process, and what went wrong counts."""
    try:
        lock.remove(mine)
    except (DockerException, OSError) as error:
        say(f"warning: the deploy lock of stack {lock.stack} could not be ended: {error}")
