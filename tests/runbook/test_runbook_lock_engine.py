"""The deploy lock in a real engine: of many processes one has it, and a killed one does not keep it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from fake_engine import FakeClock

from infra.deploy_lock import LEASE_S, DeployLock
from infra.lock_holder import Holder, Kind
from runbook.deploy_lock import Patience, acquire

pytestmark = pytest.mark.integration

MANY = 8
STACK = f"dev-lock-{os.getpid()}"
PROGRAM = """
import signal, sys
import runbook.deploy_lock
from runbook.deploy_lock import Patience, hold
from infra.errors import Refused
runbook.deploy_lock.RENEW_INTERVAL_S = 0.5
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as every verb does
stack, wait_s, file = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    with hold(stack, "a test", Patience(float(wait_s))):
        with open(file, "a") as log:
            print("in", file=log, flush=True)
            print("won", flush=True)
            sys.stdin.readline()
            print("out", file=log, flush=True)
except Refused as error:
    print(error.message, flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.fixture
def lock() -> Iterator[DeployLock]:
    """A stack's lock, which nobody holds before or after."""
    lock = DeployLock(STACK)
    assert lock.read() is None
    yield lock
    left = volumes()
    for name in left:
        docker.from_env().volumes.get(name).remove()
    assert left == []


def volumes() -> list[str]:
    """The names of the lock's volumes in the engine, its leases among them."""
    found = docker.from_env().volumes.list(filters={"name": f"runbook-{STACK}-deploy-lock"})
    return sorted(str(volume.name) for volume in found)


class Contender:
    """A process that tries for the lock when told, and holds it until told."""

    def __init__(self, log: Path, wait_s: float) -> None:
        command = [sys.executable, "-c", PROGRAM, STACK, str(wait_s), str(log)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        """Let it take its next step."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def contenders(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Contender]]:
    """Many processes at the start line, each with the patience that the test's parameter is."""
    found = [Contender(tmp_path / "log", request.param) for _ in range(MANY)]
    assert [contender.says() for contender in found] == ["ready"] * MANY
    yield found
    for contender in found:
        if contender.process.poll() is None:
            contender.process.kill()
        contender.process.communicate()


@pytest.mark.parametrize("contenders", [0], indirect=True)
def test_of_many_at_once_exactly_one_has_it(contenders: list[Contender], lock: DeployLock) -> None:
    """The others are refused, with the same holder, who is the one that has it."""
    for contender in contenders:
        contender.go()
    said = [contender.says() for contender in contenders]
    assert said.count("won") == 1
    winner = contenders[said.index("won")]
    assert {text.partition(" since ")[0] for text in said if text != "won"} == {
        f"stack {STACK} is being worked on by {lock.read().by} (process {winner.process.pid})"  # type: ignore[union-attr]
    }
    winner.go()
    assert winner.process.wait(300) == 0


@pytest.mark.parametrize("contenders", [600], indirect=True)
def test_all_have_it_one_after_another(contenders: list[Contender], lock: DeployLock, tmp_path: Path) -> None:
    """Never two at once, also where one is killed while it has it: the next takes it over."""
    for contender in contenders:
        contender.go()
        contender.go()
    first = [contender.says() for contender in contenders]
    assert first == ["won"] * MANY
    assert [contender.process.wait(300) for contender in contenders] == [0] * MANY
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * MANY


@pytest.mark.parametrize("contenders", [600], indirect=True)
def test_a_killed_holder_does_not_keep_it(
    contenders: list[Contender], lock: DeployLock, tmp_path: Path
) -> None:
    """All who wait find the same stale lock: it goes to one of them at a time."""
    killed, *others = contenders
    killed.go()
    assert killed.says() == "won"
    for contender in others:
        contender.go()
        contender.go()
    killed.process.kill()
    killed.process.wait()
    assert [contender.says() for contender in others] == ["won"] * (MANY - 1)
    assert [contender.process.wait(300) for contender in others] == [0] * (MANY - 1)
    assert (tmp_path / "log").read_text().split() == ["in", *["in", "out"] * (MANY - 1)]


def test_it_is_no_leftover_of_the_stack(lock: DeployLock) -> None:
    """What is looked for by the stack's label does not find it."""
    contender = Contender(Path(os.devnull), 0)
    contender.go()
    assert [contender.says(), contender.says()] == ["ready", "won"]
    found = docker.from_env().volumes.list(filters={"label": f"runbook.stack={STACK}"})
    assert found == []
    assert len(docker.from_env().volumes.list(filters={"label": f"runbook.lock={STACK}"})) == 1
    assert len(volumes()) > 1, "there is a lease, too"
    contender.go()
    assert contender.process.wait(300) == 0


def test_a_job_that_was_cancelled_elsewhere_holds_nobody_up_for_longer_than_its_lease(
    lock: DeployLock,
) -> None:
    """Its volume and its lease are all that is left of it; both go when the next one takes over."""
    job = replace(Holder.here(Kind.PROCESS, "up"), by="ci@job-1", token="job", place="another machine")
    assert lock.take(job) == job
    clock = FakeClock(time.time())
    later = DeployLock(STACK, clock=clock.now)
    mine = Holder.here(Kind.PROCESS, "the next job")
    held = acquire(later, mine, Patience(2 * LEASE_S, clock.now, clock.sleep))
    assert held.took_over == ("job-1",)
    assert lock.read() == held
    assert len(volumes()) == 2
    assert later.remove(held)


def test_a_process_whose_lock_is_broken_stops(lock: DeployLock) -> None:
    """It notices by itself, and ends what it does as by Ctrl-C; it leaves nothing."""
    contender = Contender(Path(os.devnull), 0)
    contender.go()
    assert [contender.says(), contender.says()] == ["ready", "won"]
    holder = lock.read()
    assert holder
    assert lock.remove(holder)
    assert contender.says() == "stopped"
    assert contender.process.wait(300) == 0
