"""One deployment of a stack at a time: takes the deploy lock for a verb, waits for who has it, renews it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import requests
from docker.errors import DockerException

from infra.deploy_lock import RENEW_INTERVAL_S, TOKEN, DeployLock, forget_stop, refusal
from infra.lock_holder import Holder, Kind
from infra.stack_name import bare_name
from runbook.console import say

WAIT_S = 120.0
_POLL_INTERVAL_S = 0.5
_held: dict[str, Holder] = {}
"""By stack, the locks that this process has: a verb may call another that wants it too."""


@dataclass(frozen=True)
class Patience:
    """How long somebody else's work is waited for, and by which clock."""

    wait_s: float = WAIT_S
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@contextmanager
def hold(
    stack: str,
    message: str,
    patience: Patience | None = None,
    *,
    past_freeze: bool = False,
    on_wait: Callable[[Holder], None] | None = None,
    lock: DeployLock | None = None,
) -> Iterator[Holder]:
    """Hold the deploy lock of *stack* for the block; *message* tells others what for. Gives who we are.

    A process that has it is waited for, and *on_wait* told of it meanwhile; one that is gone is replaced. A
    freeze (a manual lock) is refused; with *past_freeze* the block runs under it. Within a block that holds
    the lock, it is held already.

    Raises:
        Refused: somebody else has it still; says who, since when, why.
    """
    name = bare_name(stack)
    if name in _held:
        yield _held[name]
        return
    lock, mine = lock or DeployLock(name), Holder.here(Kind.PROCESS, message)
    try:
        holder = acquire(lock, mine, patience or Patience(), past_freeze=past_freeze, on_wait=on_wait)
        _held[name], os.environ[TOKEN] = holder, holder.token
        with _renewed(lock, holder):
            forget_stop(name)
            yield holder
    finally:
        _held.pop(name, None)
        os.environ.pop(TOKEN, None)
        _release(lock, mine)


def acquire(
    lock: DeployLock,
    mine: Holder,
    patience: Patience,
    *,
    past_freeze: bool = False,
    on_wait: Callable[[Holder], None] | None = None,
) -> Holder:
    """Give *lock* to *mine*, waiting for who has it as long as *patience* lasts; who holds it then.

    Raises:
        Refused: somebody else has it still.
    """
    deadline, announced = patience.now() + patience.wait_s, ""
    while (holder := lock.take(mine)).token != mine.token:
        if lock.is_gone(holder):
            mine = replace(mine, took_over=(*holder.took_over, holder.host))
            if lock.remove(holder):
                say(f"taking over the deploy lock of a process that is gone: {holder}")
            continue
        if holder.kind is Kind.MANUAL and past_freeze:
            say(f"stack {lock.stack} is frozen by {holder}: this goes on all the same")
            return holder
        if holder.kind is Kind.MANUAL or patience.now() >= deadline:
            raise refusal(lock.stack, holder)
        if announced != holder.token:
            say(f"waiting up to {patience.wait_s:g} s for the deploy lock of {holder}")
            announced = holder.token
        if on_wait:  # each time: whoever has just taken the lock forgets what was asked of the one before
            on_wait(holder)
        patience.sleep(_POLL_INTERVAL_S)
    return mine


@contextmanager
def _renewed(lock: DeployLock, holder: Holder) -> Iterator[None]:
    """Renew the lease from a thread; a lock that somebody broke ends the block as SIGTERM does."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEW_INTERVAL_S):
            try:
                found = lock.read()
                if found is not None and found.token == holder.token:
                    lock.renew(holder)
                    continue
            except (DockerException, requests.RequestException):
                continue  # the engine is away for a moment; so is everybody who could take the lock
            say(f"the deploy lock of stack {lock.stack} was taken away from this process: it stops")
            os.kill(os.getpid(), signal.SIGTERM)  # which `bin/pulumi` hands on to the CLI
            return

    thread = threading.Thread(target=renew, name="deploy lock", daemon=True)
    if holder.kind is Kind.PROCESS:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


def _release(lock: DeployLock, mine: Holder) -> None:
    """End our lock, if we had it; without the engine it ends with our process, and what went wrong counts."""
    try:
        lock.remove(mine)
    except (DockerException, OSError) as error:
        say(f"warning: the deploy lock of stack {lock.stack} could not be ended: {error}")
