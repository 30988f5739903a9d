"""A verb takes the deploy lock, waits for who has it, renews it, and ends it however the verb ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from docker.errors import DockerException
from fake_engine import FakeClock
from fake_stack import FakeStack
from fake_volumes import FakeVolume, VolumesEngine

from infra.deploy_lock import LEASE_S, TOKEN, DeployLock, refuse_locked
from infra.errors import Refused
from infra.lock_holder import Holder, Kind
from runbook.deploy_lock import Patience, acquire, hold
from runbook.errors import RunbookError

NAME = "runbook-dev-deploy-lock"


@pytest.fixture
def clock() -> FakeClock:
    """The time of waiting and of leases."""
    return FakeClock()


@pytest.fixture
def engine() -> VolumesEngine:
    """An engine in which nobody holds a lock."""
    return VolumesEngine()


@pytest.fixture
def lock(engine: VolumesEngine, clock: FakeClock) -> DeployLock:
    """The lock of stack dev there."""
    return DeployLock("dev", engine, clock.now)  # type: ignore[arg-type]


def elsewhere(message: str = "up r-1", **more: Any) -> Holder:
    """A deployment from another machine, whose process may have any number that we have too."""
    ours = Holder.here(Kind.PROCESS, message)
    return replace(ours, **{"by": "anna@laptop", "token": "theirs", "place": "another machine", **more})


def dead() -> Holder:
    """A deployment from this machine that was killed."""
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(Holder.here(Kind.PROCESS, "up r-1"), token="dead", pid=process.pid)


def freeze() -> Holder:
    """A person's lock."""
    return replace(Holder.here(Kind.MANUAL, "incident 42"), by="anna@laptop")


def impatient(clock: FakeClock, wait_s: float = 10) -> Patience:
    """Patience by the test's clock."""
    return Patience(wait_s, clock.now, clock.sleep)


def test_it_is_held_for_the_block(lock: DeployLock, engine: VolumesEngine) -> None:
    """A volume named for the stack says who and why, is no part of the stack, and is gone after."""
    with hold("acme/runbook/dev", "up r-1", lock=lock) as mine:
        assert lock.read() == mine
        assert mine.message == "up r-1"
        assert (mine.is_near, mine.is_gone) == (True, False)
        labels = engine.volumes.found[NAME].attrs["Labels"]
        assert labels["runbook.lock"] == "dev"
        assert all("runbook.stack" not in each.attrs["Labels"] for each in engine.volumes.found.values())
    assert lock.read() is None
    assert engine.volumes.found == {}


def test_what_the_block_runs_may_deploy(lock: DeployLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is told by the environment; after the block nobody has the token any more."""
    monkeypatch.delenv(TOKEN, raising=False)
    with hold("dev", "up", lock=lock) as mine:
        assert os.environ[TOKEN] == mine.token
        refuse_locked("dev", os.environ, lock)
    assert TOKEN not in os.environ


def test_a_verb_may_call_another_that_holds_it_too(lock: DeployLock) -> None:
    """The inner block takes nothing and ends nothing; who we are is the same."""
    with hold("dev", "hotfix", lock=lock) as outer:
        with hold("organization/runbook/dev", "up", lock=lock) as inner:
            assert inner == outer == lock.read()
        assert lock.read() == outer
    assert lock.read() is None


def test_another_stack_is_another_lock(lock: DeployLock, engine: VolumesEngine) -> None:
    """Two stacks on one engine are deployed side by side."""
    with hold("dev", "up", lock=lock), hold("dev-2", "up", lock=DeployLock("dev-2", engine)):  # type: ignore[arg-type]
        assert {NAME, "runbook-dev-2-deploy-lock"} <= engine.volumes.found.keys()


@pytest.mark.parametrize("error", [RunbookError("no", "do"), KeyboardInterrupt(), SystemExit(1)], ids=type)
def test_however_the_block_ends_the_lock_does(
    lock: DeployLock, engine: VolumesEngine, error: BaseException
) -> None:
    """A refusal, Ctrl-C, an exit; afterwards this process can take it again."""
    with pytest.raises(type(error)), hold("dev", "up", lock=lock):
        raise error
    assert engine.volumes.found == {}
    with hold("dev", "up", lock=lock):
        assert lock.read()


def test_what_was_asked_of_the_holder_before_is_forgotten_once(stack: FakeStack) -> None:
    """A stop is for the update that was under way; one that is asked for in the block stays."""
    with hold("dev", "up"):
        assert stack.proxy.done == ["rm -f /routes/stop"]
        with hold("dev", "rollback"):
            pass
    assert stack.proxy.done == ["rm -f /routes/stop"]


def test_a_proxy_that_cannot_be_asked_keeps_nobody_from_the_lock(stack: FakeStack) -> None:
    """It does not run, or there is none: `up` is what mends that."""
    stack.proxy.answer = lambda _command: (1, "read-only file system")
    with hold("dev", "up"):
        pass
    stack.proxy.removed = True
    with hold("dev", "up"):
        pass


def test_whoever_has_it_is_waited_for(
    lock: DeployLock, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once who has it, since when and why; asked for a stop again and again; then it is ours."""
    theirs, told = lock.take(elsewhere()), list[Holder]()
    clock.while_asleep = lambda: lock.remove(theirs) if clock.slept == 3 else None  # type: ignore[assignment,return-value]
    with hold("dev", "up", impatient(clock), lock=lock, on_wait=told.append) as mine:
        assert lock.read() == mine
    assert told == [theirs] * 3
    assert capsys.readouterr().err == (
        f"waiting up to 10 s for the deploy lock of anna@laptop (process {theirs.pid}) "
        f"since {theirs.since}: up r-1\n"
    )


def test_patience_has_an_end(lock: DeployLock, clock: FakeClock, engine: VolumesEngine) -> None:
    """Then it is refused, with who has it, and the lock stays theirs, with its lease and no other."""
    theirs = lock.take(elsewhere())
    before = set(engine.volumes.found)
    with (
        pytest.raises(Refused, match=r"is being worked on by anna@laptop .*: up r-1") as refusal,
        hold("dev", "up", impatient(clock), lock=lock),
    ):
        pytest.fail("two hold it")
    assert clock.time == 1010
    assert "lock break --stack dev" in refusal.value.hint
    assert lock.read() == theirs
    assert set(engine.volumes.found) == before


def test_a_holder_elsewhere_whose_lease_runs_out_is_replaced(
    lock: DeployLock, clock: FakeClock, engine: VolumesEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cancelled CI job: its machine is gone too. Not before; and nothing of it is left."""
    lock.take(elsewhere())
    with hold("dev", "up", impatient(clock, 2 * LEASE_S), lock=lock) as mine:
        assert LEASE_S < clock.time - 1000 < LEASE_S + 2
        assert mine.took_over == ("laptop",)
        assert lock.read() == mine
        assert "theirs" not in {volume.attrs["Labels"].get("runbook.lease") for volume in volumes(engine)}
    assert "taking over the deploy lock of a process that is gone: anna@laptop" in capsys.readouterr().err


def volumes(engine: VolumesEngine) -> list[Any]:
    """All that the engine has."""
    return list(engine.volumes.found.values())


def test_a_job_that_goes_on_renewing_is_not_replaced(lock: DeployLock, clock: FakeClock) -> None:
    """However long it takes."""
    theirs = lock.take(elsewhere())
    clock.while_asleep = lambda: lock.renew(theirs)
    with (
        pytest.raises(Refused, match="anna@laptop"),
        hold("dev", "up", impatient(clock, 5 * LEASE_S), lock=lock),
    ):
        pytest.fail("two hold it")
    assert lock.read() == theirs


def test_the_dead_of_a_chain_are_all_named(lock: DeployLock, clock: FakeClock) -> None:
    """Each may have left Pulumi's own lock: the one that lives clears them all away."""
    lock.take(elsewhere(by="ci@job-1"))
    clock.time += LEASE_S + 1
    second = acquire(lock, elsewhere(by="ci@job-2", token="second"), impatient(clock))
    assert second.took_over == ("job-1",)
    clock.time += LEASE_S + 1
    third = acquire(lock, elsewhere(by="ci@job-3", token="third"), impatient(clock))
    assert third.took_over == ("job-1", "job-2")
    found = lock.read()
    assert found
    assert found.took_over == ("job-1", "job-2"), "whoever comes next has to know too"


def test_interrupted_while_waiting_nothing_of_ours_is_left(lock: DeployLock, engine: VolumesEngine) -> None:
    """And what is theirs stays."""
    theirs = lock.take(elsewhere())
    before = set(engine.volumes.found)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        hold("dev", "up", impatient(FakeClock(while_asleep=interrupt)), lock=lock),
    ):
        pytest.fail("two hold it")
    assert lock.read() == theirs
    assert set(engine.volumes.found) == before


@pytest.mark.parametrize("at", [1, 2], ids=["the lease", "the lock"])
def test_interrupted_while_taking_it_nothing_is_left(
    lock: DeployLock, engine: VolumesEngine, at: int
) -> None:
    """The engine may have made the volume before we heard of it."""
    create, made = engine.volumes.create, list[str]()

    def interrupted(name: str, labels: dict[str, str] | None = None) -> object:
        create(name, labels)
        made.append(name)
        if len(made) == at:
            raise KeyboardInterrupt
        return None

    engine.volumes.create = interrupted  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt), hold("dev", "up", lock=lock):
        pytest.fail("it was interrupted")
    assert engine.volumes.found == {}


def test_a_freeze_is_refused_at_once(lock: DeployLock, clock: FakeClock) -> None:
    """Nobody knows when it ends; its message says why, the hint how."""
    lock.take(freeze())
    with (
        pytest.raises(Refused, match=r"frozen by anna@laptop since .*: incident 42") as refusal,
        hold("dev", "up", impatient(clock), lock=lock),
    ):
        pytest.fail("it is frozen")
    assert clock.slept == 0
    assert "lock release --stack dev" in refusal.value.hint


def test_a_rollback_goes_on_under_a_freeze(
    lock: DeployLock, clock: FakeClock, engine: VolumesEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said; the program lets it through; the freeze stays, and nothing of ours does."""
    frozen = lock.take(freeze())
    with hold("dev", "rollback", impatient(clock), lock=lock, past_freeze=True) as holder:
        assert holder == frozen
        refuse_locked("dev", os.environ, lock)
    assert "stack dev is frozen by anna@laptop" in capsys.readouterr().err
    assert lock.read() == frozen
    assert engine.volumes.found.keys() == {NAME}


def test_a_rollback_does_not_go_past_a_deployment(lock: DeployLock, clock: FakeClock) -> None:
    """Only past a freeze: two at once would move the traffic against each other."""
    lock.take(elsewhere())
    with (
        pytest.raises(Refused, match="is being worked on by anna@laptop"),
        hold("dev", "rollback", impatient(clock), lock=lock, past_freeze=True),
    ):
        pytest.fail("two hold it")


@pytest.mark.parametrize(
    "make",
    [dead, lambda: replace(Holder.here(Kind.PROCESS, "up"), token="before", started=1.5)],
    ids=["ended", "its number is another's now"],
)
def test_a_holder_that_is_gone_is_replaced(
    lock: DeployLock, clock: FakeClock, make: Callable[[], Holder], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without waiting, and said."""
    lock.take(make())
    with hold("dev", "up", impatient(clock), lock=lock):
        assert lock.read().message == "up"  # type: ignore[union-attr]
    assert clock.slept == 0
    assert "taking over the deploy lock of a process that is gone: " in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"place": "another machine"}, {"kind": Kind.MANUAL}, {"pid": 0}])
def test_who_cannot_be_judged_is_not_replaced(
    lock: DeployLock, clock: FakeClock, change: dict[str, object]
) -> None:
    """A process elsewhere, or in a container that has this machine's name; a person; nobody knows whom."""
    theirs = lock.take(replace(dead(), **change))  # type: ignore[arg-type]
    with pytest.raises(Refused), hold("dev", "up", impatient(clock, 1), lock=lock):
        pytest.fail("two hold it")
    assert lock.read() == theirs


def test_a_volume_that_is_none_of_ours_is_nobodys_we_know(lock: DeployLock, engine: VolumesEngine) -> None:
    """It holds the place all the same, until somebody breaks it."""
    engine.volumes.create(NAME)
    with pytest.raises(Refused, match="frozen by unknown since unknown"), hold("dev", "up", lock=lock):
        pytest.fail("it is not free")


def test_an_engine_that_is_gone_does_not_hide_what_happened(
    lock: DeployLock, engine: VolumesEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block's own error counts; that the lock stays is a warning, and the next one takes it over."""
    with pytest.raises(RunbookError, match="the gate"), hold("dev", "up", lock=lock):
        engine.volumes.failure = DockerException("no engine")
        raise RunbookError("the gate", "")
    assert "warning: the deploy lock of stack dev could not be ended: no engine" in capsys.readouterr().err


class Renewals(DeployLock):
    """A lock that counts how often its holder's thread has looked at it, and renewed it."""

    def __init__(self, engine: VolumesEngine, clock: FakeClock) -> None:
        super().__init__("dev", engine, clock.now)  # type: ignore[arg-type]
        self.counts = {"read": 0, "renew": 0}
        self._counted = threading.Condition()

    def read(self) -> Holder | None:
        try:
            return super().read()
        finally:
            self._count("read")

    def renew(self, holder: Holder) -> None:
        super().renew(holder)
        self._count("renew")

    def wait_for(self, what: str) -> None:
        """Until it has happened from its beginning to its end since now; a minute is for ever."""
        with self._counted:
            wanted = self.counts[what] + 2
            assert self._counted.wait_for(lambda: self.counts[what] >= wanted, timeout=60)

    def _count(self, what: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            with self._counted:
                self.counts[what] += 1
                self._counted.notify_all()


@pytest.fixture
def renewals(engine: VolumesEngine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renewals]:
    """One whose holder renews it almost without a pause."""
    monkeypatch.setattr("runbook.deploy_lock.RENEW_INTERVAL_S", 0.001)
    yield Renewals(engine, clock)
    assert "deploy lock" not in {thread.name for thread in threading.enumerate()}


def test_the_lease_is_renewed_while_the_block_runs(renewals: Renewals, clock: FakeClock) -> None:
    """By a thread of the holder: others see it live long after its first lease would have ended."""
    with hold("dev", "up", lock=renewals) as mine:
        there = replace(mine, place="another machine")  # as another machine sees it
        clock.time += LEASE_S + 1
        renewals.wait_for("renew")
        assert not renewals.is_gone(there)


def test_an_engine_that_is_away_for_a_moment_ends_nothing(renewals: Renewals, engine: VolumesEngine) -> None:
    """It restarts, say: nobody else can take the lock meanwhile. Then it goes on."""
    with hold("dev", "up", lock=renewals) as mine:
        engine.volumes.failure = DockerException("no engine")
        renewals.wait_for("read")
        engine.volumes.failure = None
        renewals.wait_for("renew")
        assert renewals.read() == mine
    assert engine.volumes.found == {}


@pytest.mark.parametrize("theirs", [None, elsewhere()], ids=["broken", "another has it"])
def test_a_holder_whose_lock_was_taken_away_stops(
    renewals: Renewals, engine: VolumesEngine, theirs: Holder | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by SIGTERM: two at once must not be. What the other has by then is left alone."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), hold("dev", "up", lock=renewals):
            if theirs:
                engine.volumes.found[NAME] = FakeVolume(NAME, {"Labels": theirs.as_labels()}, {})
            else:
                del engine.volumes.found[NAME]
            threading.Event().wait(60)
            pytest.fail("it went on")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (
        "the deploy lock of stack dev was taken away from this process: it stops" in capsys.readouterr().err
    )
    assert renewals.read() == theirs
