"""Who holds a stack's deploy lock, for how long they are believed, and what the program says to others."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from fake_volumes import VolumesEngine

from infra.deploy_lock import LEASE_S, RENEW_INTERVAL_S, TOKEN, DeployLock, refuse_locked
from infra.errors import Refused
from infra.lock_holder import Holder, Kind

NAME = "runbook-dev-deploy-lock"


@dataclass
class Clock:
    """Seconds since the epoch, as a test has them."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time, as all machines have it."""
    return Clock()


@pytest.fixture
def engine() -> VolumesEngine:
    """An engine in which nobody holds a lock."""
    return VolumesEngine()


@pytest.fixture
def lock(engine: VolumesEngine, clock: Clock) -> DeployLock:
    """The lock of stack dev there."""
    return DeployLock("dev", engine, clock)  # type: ignore[arg-type]


def elsewhere(token: str = "theirs") -> Holder:
    """A deployment from another machine, whose process may have any number that we have too."""
    return replace(Holder.here(Kind.PROCESS, "up"), by="anna@ci-1", token=token, place="another machine")


def dead() -> Holder:
    """A deployment from this machine that was killed."""
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(Holder.here(Kind.PROCESS, "up"), token="dead", pid=process.pid)


def freeze() -> Holder:
    """A person's lock."""
    return replace(Holder.here(Kind.MANUAL, "incident 42"), by="anna@laptop")


def leases(engine: VolumesEngine) -> list[str]:
    """The names of the volumes that are leases."""
    return [name for name in engine.volumes.found if "-lease-" in name]


def test_a_holder_elsewhere_is_believed_until_its_lease_ends(lock: DeployLock, clock: Clock) -> None:
    """Not a moment longer, and not one less: it may still deploy."""
    holder = lock.take(elsewhere())
    assert not lock.is_gone(holder)
    clock.now += LEASE_S - 0.1
    assert not lock.is_gone(holder)
    clock.now += 0.2
    assert lock.is_gone(holder)


def test_a_lease_that_is_renewed_goes_on(lock: DeployLock, clock: Clock, engine: VolumesEngine) -> None:
    """From each time, and one volume at a time, however long the deployment takes."""
    holder = lock.take(elsewhere())
    for _ in range(20):
        clock.now += RENEW_INTERVAL_S
        lock.renew(holder)
        assert len(leases(engine)) == 1
    clock.now += LEASE_S - 0.1
    assert not lock.is_gone(holder)
    clock.now += 0.2
    assert lock.is_gone(holder)


def test_a_lease_that_is_renewed_at_once_is_still_there(lock: DeployLock) -> None:
    """Taking a lock that others contend for renews it again within a moment."""
    holder = lock.take(elsewhere())
    lock.renew(holder)
    assert not lock.is_gone(holder)


def test_a_lease_may_be_missed_a_few_times() -> None:
    """A busy engine answers late."""
    assert LEASE_S >= 3 * RENEW_INTERVAL_S


def test_the_lease_is_there_before_the_lock(lock: DeployLock, engine: VolumesEngine) -> None:
    """Else whoever looks in between would take the lock from one that has just begun."""
    made: list[str] = []
    engine.volumes.before_create = made.append
    lock.take(elsewhere())
    assert [name == NAME for name in made] == [False, True]


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_leases_go_by_the_engines_clock(engine: VolumesEngine, ahead_s: float) -> None:
    """All who deploy share it; a laptop that is minutes off would take the lock from one who lives."""
    engine.ahead_s = ahead_s
    lock = DeployLock("dev", engine)  # type: ignore[arg-type]
    holder = lock.take(elsewhere())
    assert not lock.is_gone(holder)
    (lease,) = leases(engine)
    until = float(engine.volumes.found[lease].attrs["Labels"]["runbook.lease.until"])
    assert until - LEASE_S == pytest.approx(time.time() + ahead_s, abs=30)
    engine.ahead_s += LEASE_S + 30
    assert lock.is_gone(holder)


def test_a_lock_whose_lease_was_removed_is_a_dead_ones(lock: DeployLock, engine: VolumesEngine) -> None:
    """`docker volume prune` of an old engine: it cannot be told from a job that was cancelled."""
    holder = lock.take(elsewhere())
    (lease,) = leases(engine)
    engine.volumes.get(lease).remove()
    assert lock.is_gone(holder)


@pytest.mark.parametrize("until", ["", "soon"])
def test_a_lease_that_cannot_be_read_is_over(lock: DeployLock, engine: VolumesEngine, until: str) -> None:
    """And no error."""
    holder = lock.take(elsewhere())
    (lease,) = leases(engine)
    engine.volumes.found[lease].attrs["Labels"]["runbook.lease.until"] = until
    assert lock.is_gone(holder)


def test_a_process_of_this_machine_is_asked_itself(lock: DeployLock, clock: Clock) -> None:
    """It may be stopped for an hour in a debugger, or have died a moment ago: its lease says neither."""
    ours = Holder.here(Kind.PROCESS, "up")
    lock.take(ours)
    clock.now += 10 * LEASE_S
    assert not lock.is_gone(ours)
    assert lock.is_gone(dead())


@pytest.mark.parametrize(
    "make", [freeze, lambda: replace(elsewhere(), pid=0)], ids=["a person", "a lock without a process"]
)
def test_who_has_no_lease_is_never_gone(lock: DeployLock, clock: Clock, make: Callable[[], Holder]) -> None:
    """Only people end what people began, or what nobody is known to have begun."""
    holder = make()
    lock.take(holder)
    clock.now += 10 * LEASE_S
    assert not lock.is_gone(holder)


def test_a_freeze_has_no_lease(lock: DeployLock, engine: VolumesEngine) -> None:
    """There is one volume: the lock itself."""
    lock.take(freeze())
    assert engine.volumes.found.keys() == {NAME}


def test_the_end_of_a_lock_is_the_end_of_its_leases(lock: DeployLock, engine: VolumesEngine) -> None:
    """Also of those that a killed renewal left beside the last; nobody else's."""
    holder = lock.take(elsewhere())
    stale = dict(engine.volumes.found)
    lock.renew(holder)
    engine.volumes.found |= stale  # killed between making the new one and removing the old one
    lock.renew(elsewhere("waits"))
    assert lock.remove(holder)
    assert [engine.volumes.found[name].attrs["Labels"]["runbook.lease"] for name in leases(engine)] == [
        "waits"
    ]
    assert lock.read() is None


def test_who_gives_up_waiting_leaves_nothing(lock: DeployLock, engine: VolumesEngine) -> None:
    """Its lease was made before it was seen that another has the lock."""
    theirs = lock.take(elsewhere())
    before = set(engine.volumes.found)
    ours = Holder.here(Kind.PROCESS, "up")
    lock.renew(ours)
    assert not lock.remove(ours)
    assert set(engine.volumes.found) == before
    assert lock.read() == theirs


def test_the_lease_of_one_who_was_killed_while_it_waited_is_removed(
    lock: DeployLock, clock: Clock, engine: VolumesEngine
) -> None:
    """By the next who takes the lock; not that of somebody who waits, nor another stack's."""
    lock.renew(elsewhere("killed"))
    DeployLock("dev-2", engine, clock).renew(elsewhere("theirs"))  # type: ignore[arg-type]
    clock.now += 3 * LEASE_S
    lock.renew(elsewhere("waits"))
    ours = elsewhere("ours")
    assert lock.take(ours) == ours
    assert sorted(name.rpartition("-lease-")[2].partition("-")[0] for name in leases(engine)) == [
        "ours",
        "theirs",
        "waits",
    ]


def test_of_two_who_find_it_stale_one_takes_it(lock: DeployLock) -> None:
    """The slower one's removal does not hit the lock that the faster one has by then."""
    stale = lock.take(dead())
    assert lock.remove(stale)
    faster = lock.take(Holder.here(Kind.PROCESS, "faster"))
    assert not lock.remove(stale)
    assert lock.read() == faster


def test_the_program_deploys_with_a_free_lock(lock: DeployLock) -> None:
    """`pulumi up` by hand, and nobody at work."""
    refuse_locked("dev", {}, lock)


def test_the_program_deploys_for_the_holder(lock: DeployLock) -> None:
    """Its token came by the environment; any other, or none, is somebody else's update."""
    holder = lock.take(elsewhere())
    refuse_locked("dev", {TOKEN: holder.token}, lock)
    for env in ({}, {TOKEN: ""}, {TOKEN: "another"}):
        with pytest.raises(Refused, match=r"stack dev is being worked on by anna@ci-1 .*: up") as refusal:
            refuse_locked("dev", env, lock)
        assert f"its lock ends within {LEASE_S:g} s" in refusal.value.hint
        assert "`bin/runbook lock break --stack dev`" in refusal.value.hint


def test_the_program_refuses_a_frozen_stack(lock: DeployLock) -> None:
    """With who froze it, why, and how that ends; a rollback goes on under the freeze."""
    holder = lock.take(freeze())
    with pytest.raises(Refused, match=r"frozen by anna@laptop since .*: incident 42") as refusal:
        refuse_locked("dev", {}, lock)
    assert refusal.value.hint == "`bin/runbook lock release --stack dev` ends the freeze"
    refuse_locked("dev", {TOKEN: holder.token}, lock)


@pytest.mark.parametrize("make", [dead, elsewhere])
def test_the_program_heeds_nobody_who_is_gone(
    lock: DeployLock, clock: Clock, make: Callable[[], Holder]
) -> None:
    """A killed deployment holds nobody up; where it was elsewhere, for no longer than its lease."""
    lock.take(make())
    clock.now += LEASE_S + 1
    refuse_locked("dev", {}, lock)


def test_the_program_looks_at_the_lock_of_its_own_stack(
    engine: VolumesEngine, lock: DeployLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stack's freeze is not this one's."""
    monkeypatch.setattr("docker.from_env", lambda: engine)
    lock.take(freeze())
    refuse_locked("dev-2", {})
    with pytest.raises(Refused, match="deployments of stack dev are frozen"):
        refuse_locked("dev", {})


def test_a_token_is_not_told(lock: DeployLock) -> None:
    """Whoever has it may deploy past the lock: it is in no refusal."""
    holder = lock.take(elsewhere(token="0123456789abcdef"))
    with pytest.raises(Refused) as refusal:
        refuse_locked("dev", {}, lock)
    assert holder.token not in str(refusal.value)
