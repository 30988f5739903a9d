from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from docker.errors import DockerException
from fake_engine import FakeClock
from fake_volumes import VolumesEngine

from runbook.deploy_lock import DeployLock, hold
from runbook.errors import RunbookError
from runbook.lock_holder import Holder, Kind
from runbook.recovery import Patience

NAME = "runbook-dev-deploy-lock"


@pytest.fixture
def engine() -> VolumesEngine:
    """An engine in which nobody holds a lock."""
    return VolumesEngine()


@pytest.fixture
def lock(engine: VolumesEngine) -> DeployLock:
    """The lock of stack dev there."""
    return DeployLock("acme/runbook/dev", engine)  # type: ignore[arg-type]


def elsewhere(message: str = "up r-1") -> Holder:
    """A deployment from another machine, whose process may have any number that we have too."""
    ours = Holder.here(Kind.PROCESS, message)
    return replace(ours, by="anna@laptop", token="theirs", place="another machine")


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
    with hold("dev", "up r-1", lock=lock):
        holder = lock.read()
        assert holder
        assert holder.message == "up r-1"
        assert (holder.is_near, holder.is_gone) == (True, False)
        labels = engine.volumes.found[NAME].attrs["Labels"]
        assert labels["runbook.lock"] == "dev"
        assert "runbook.stack" not in labels
    assert lock.read() is None
    assert engine.volumes.found == {}


def test_a_verb_may_call_another_that_holds_it_too(lock: DeployLock) -> None:
    """The inner block takes nothing and ends nothing."""
    with hold("dev", "hotfix", lock=lock):
        with hold("organization/runbook/dev", "up", lock=lock):
            assert lock.read().message == "hotfix"  # type: ignore[union-attr]
        assert lock.read()
    assert lock.read() is None


def test_another_stack_is_another_lock(lock: DeployLock, engine: VolumesEngine) -> None:
    """Two stacks on one engine are deployed side by side."""
    with hold("dev", "up", lock=lock), hold("dev-2", "up", lock=DeployLock("dev-2", engine)):  # type: ignore[arg-type]
        assert engine.volumes.found.keys() == {NAME, "runbook-dev-2-deploy-lock"}


@pytest.mark.parametrize("error", [RunbookError("no", "do"), KeyboardInterrupt(), SystemExit(1)], ids=type)
def test_however_the_block_ends_the_lock_does(lock: DeployLock, error: BaseException) -> None:
    """A refusal, Ctrl-C, an exit; afterwards this process can take it again."""
    with pytest.raises(type(error)), hold("dev", "up", lock=lock):
        raise error
    assert lock.read() is None
    with hold("dev", "up", lock=lock):
        assert lock.read()


def test_whoever_has_it_is_waited_for(lock: DeployLock, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told once who has it, since when and why; then it is ours."""
    theirs = lock.take(elsewhere())
    clock = FakeClock()
    clock.while_asleep = lambda: lock.remove(theirs) if clock.slept == 3 else None  # type: ignore[assignment,return-value]
    with hold("dev", "up", lock=lock, patience=impatient(clock)):
        assert lock.read().token != theirs.token  # type: ignore[union-attr]
    told = capsys.readouterr().err
    assert told == (
        f"waiting up to 10 s for the deploy lock of anna@laptop (process {theirs.pid}) "
        f"since {theirs.since}: up r-1\n"
    )


def test_patience_has_an_end(lock: DeployLock) -> None:
    """Then it is refused, with who has it, and the lock stays theirs."""
    theirs = lock.take(elsewhere())
    clock = FakeClock()
    with (
        pytest.raises(RunbookError, match=r"is being worked on by anna@laptop .*: up r-1") as refusal,
        hold("dev", "up", lock=lock, patience=impatient(clock)),
    ):
        pytest.fail("two hold it")
    assert clock.time == 1010
    assert "lock break --stack dev" in refusal.value.hint
    assert lock.read() == theirs


def test_interrupted_while_waiting_nothing_of_ours_is_left(lock: DeployLock) -> None:
    """And what is theirs stays."""
    theirs = lock.take(elsewhere())

    def interrupt() -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        hold("dev", "up", lock=lock, patience=impatient(FakeClock(while_asleep=interrupt))),
    ):
        pytest.fail("two hold it")
    assert lock.read() == theirs


def test_interrupted_while_taking_it_nothing_is_left(lock: DeployLock) -> None:
    """The engine may have made the volume before we heard of it."""

    class Interrupted(DeployLock):
        def read(self) -> Holder | None:
            Interrupted.read = DeployLock.read  # type: ignore[method-assign]
            raise KeyboardInterrupt

    interrupted = Interrupted("dev", lock._engine)
    with pytest.raises(KeyboardInterrupt), hold("dev", "up", lock=interrupted):
        pytest.fail("it was interrupted")
    assert lock.read() is None


def test_a_freeze_is_refused_at_once(lock: DeployLock) -> None:
    """Nobody knows when it ends; its message says why, the hint how."""
    lock.take(freeze())
    clock = FakeClock()
    with (
        pytest.raises(RunbookError, match=r"frozen by anna@laptop since .*: incident 42") as refusal,
        hold("dev", "up", lock=lock, patience=impatient(clock)),
    ):
        pytest.fail("it is frozen")
    assert clock.slept == 0
    assert "lock release --stack dev" in refusal.value.hint


def test_a_freeze_is_waited_for_if_asked(lock: DeployLock) -> None:
    """Then it is as any other holder."""
    theirs = lock.take(freeze())
    clock = FakeClock(while_asleep=lambda: lock.remove(theirs) and None)
    with hold("dev", "up", lock=lock, patience=impatient(clock), waits_for_freeze=True):
        assert clock.slept == 1


@pytest.mark.parametrize(
    "make",
    [dead, lambda: replace(Holder.here(Kind.PROCESS, "up"), token="before", started=1.5)],
    ids=["ended", "its number is another's now"],
)
def test_a_holder_that_is_gone_is_replaced(
    lock: DeployLock, make: Callable[[], Holder], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without waiting, and said."""
    lock.take(make())
    clock = FakeClock()
    with hold("dev", "up", lock=lock, patience=impatient(clock)):
        assert lock.read().message == "up"  # type: ignore[union-attr]
    assert clock.slept == 0
    assert "taking over the deploy lock of a process that is gone: " in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"place": "another machine"}, {"kind": Kind.MANUAL}, {"pid": 0}])
def test_who_cannot_be_judged_is_not_replaced(lock: DeployLock, change: dict[str, object]) -> None:
    """A process elsewhere, or in a container that has this machine's name; a person; nobody knows whom."""
    theirs = lock.take(replace(dead(), **change))  # type: ignore[arg-type]
    with (
        pytest.raises(RunbookError),
        hold("dev", "up", lock=lock, patience=impatient(FakeClock(), 1)),
    ):
        pytest.fail("two hold it")
    assert lock.read() == theirs


def test_of_two_who_find_it_stale_one_takes_it(lock: DeployLock) -> None:
    """The slower one's removal does not hit the lock that the faster one has by then."""
    stale = lock.take(dead())
    assert lock.remove(stale)
    faster = lock.take(Holder.here(Kind.PROCESS, "faster"))
    assert not lock.remove(stale)
    assert lock.read() == faster


def test_a_volume_that_is_none_of_ours_is_nobodys_we_know(lock: DeployLock, engine: VolumesEngine) -> None:
    """It holds the place all the same, until somebody breaks it."""
    engine.volumes.create(NAME)
    with pytest.raises(RunbookError, match="frozen by unknown since unknown"), hold("dev", "up", lock=lock):
        pytest.fail("it is not free")


def test_an_engine_that_is_gone_does_not_hide_what_happened(
    lock: DeployLock, engine: VolumesEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block's own error counts; that the lock stays is a warning, and the next one takes it over."""
    with pytest.raises(RunbookError, match="the gate"), hold("dev", "up", lock=lock):
        engine.volumes.failure = DockerException("no engine")
        raise RunbookError("the gate", "")
    assert "warning: the deploy lock of stack dev could not be ended: no engine" in capsys.readouterr().err
