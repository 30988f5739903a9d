from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError, NotFound
from engine_events import urn
from fake_engine import FakeClock, FakeEngine
from fake_workspace import FakeWorkspace

from runbook.errors import RunbookError
from runbook.recovery import Patience, read_locks, recover

NO_SUCH_PROCESS = 2**22 + 1  # above every pid that Linux gives


@pytest.fixture
def workspace(tmp_path: Path) -> FakeWorkspace:
    """A stack in a file backend, with one container and one network in its state, and nothing wrong."""
    found = FakeWorkspace(state_folder=tmp_path)
    found.deployment = {"resources": [{"id": "id-of-web"}, {"id": "id-of-net"}, {"type": "a component"}]}
    return found


@pytest.fixture
def engine() -> FakeEngine:
    """The engine with what the state knows, and with another stack's things."""
    engine = FakeEngine()
    engine.containers.add("web")
    engine.networks.add("net")
    engine.containers.add("other", stack="dev-2")
    engine.networks.add("other", stack="dev-2")
    return engine


@pytest.fixture
def update() -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes by the name of pulumi."""
    process = subprocess.Popen(["bash", "-c", "exec -a pulumi sleep 60"])
    while b"pulumi\0" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        os.sched_yield()  # until bash has become it
    yield process
    process.kill()
    process.wait()


def lock_file(workspace: FakeWorkspace, text: str, name: str = "a") -> Path:
    """A lock of the stack that holds *text*."""
    assert workspace.state_folder is not None
    file = workspace.state_folder / "locks/organization/runbook" / workspace.stack / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def held_by(pid: int, host: str | None = None) -> str:
    """A lock's content, as Pulumi writes it."""
    return json.dumps(
        {
            "pid": pid,
            "username": "root",
            "hostname": host or socket.gethostname(),
            "timestamp": "2026-11-24T12:00:00Z",
        }
    )


def pending(workspace: FakeWorkspace, *names: str) -> None:
    """Let the state say that *names* are being made, in the file that a file backend has."""
    workspace.deployment["pending_operations"] = [
        {"resource": {"urn": urn(name)}, "type": "creating"} for name in names
    ]
    if workspace.state_folder is not None:
        file = workspace.state_folder / "stacks/runbook" / f"{workspace.stack}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"checkpoint": {"latest": workspace.deployment}}))


def removed(engine: FakeEngine) -> list[str]:
    """The names of what is not there any more."""
    return [thing.name for thing in [*engine.containers.found, *engine.networks.found] if thing.removed]


def test_nothing_is_touched_without_a_sign(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """An unknown container may be another checkout's: alone it is no sign of a killed update."""
    engine.containers.add("stranger")
    recover(workspace, engine)
    assert removed(engine) == []
    assert workspace.calls == []


def test_a_stale_lock_is_cleared_with_what_the_update_left(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown containers and networks of the stack go, known ones and other stacks' stay; all is said."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    engine.containers.add("half-made")
    engine.networks.add("half-made-net")
    recover(workspace, engine)
    assert removed(engine) == ["half-made", "half-made-net"]
    assert workspace.calls == ["cancel"]
    assert capsys.readouterr().err.splitlines() == [
        "an earlier update of stack dev was killed: clearing up",
        "  removing container half-made, which the state does not know",
        "  removing network half-made-net, which the state does not know",
        f"  removing its lock (process {NO_SUCH_PROCESS} of root on {socket.gethostname()} "
        "since 2026-11-24T12:00:00Z, which is gone)",
    ]


def test_pending_operations_are_a_sign_too(
    workspace: FakeWorkspace, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are forgotten, by name, after what they made has been removed."""
    pending(workspace, "web-2", "worker-1")
    made = engine.containers.add("web-2")
    recover(workspace, engine)
    assert made.removed
    assert workspace.calls == ["without_pending"]
    assert "forgetting operations that were under way: web-2, worker-1" in capsys.readouterr().err


def test_what_shows_that_an_update_was_killed_goes_last(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """When a removal fails, lock and pending operations stay: the next run begins again."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    pending(workspace, "web-2")
    engine.containers.add("web-2", refusal=APIError("500", explanation="device is busy"))
    with pytest.raises(RunbookError, match="container web-2 cannot be removed: device is busy"):
        recover(workspace, engine)
    assert workspace.calls == []


def test_what_is_gone_meanwhile_is_no_error(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """A container may end by itself between the look and the removal."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS))
    engine.containers.add("web-2", refusal=NotFound("no such container"))
    recover(workspace, engine)
    assert workspace.calls == ["cancel"]


def test_a_full_stack_name_finds_the_same_files(tmp_path: Path, engine: FakeEngine) -> None:
    """`organization/runbook/dev` is `dev` in the backend's folders and in the labels."""
    bare = FakeWorkspace(state_folder=tmp_path)
    lock_file(bare, held_by(NO_SUCH_PROCESS))
    unknown = engine.containers.add("half-made")
    recover(FakeWorkspace("organization/runbook/dev", state_folder=tmp_path), engine)
    assert unknown.removed


def test_a_running_update_is_waited_for(
    workspace: FakeWorkspace,
    engine: FakeEngine,
    update: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lock is looked at until it is let go, and told of once; then there is nothing to clear up."""
    lock = lock_file(workspace, held_by(update.pid))
    clock = FakeClock()
    clock.while_asleep = lambda: lock.unlink() if clock.slept == 3 else None
    recover(workspace, engine, Patience(10, clock.now, clock.sleep))
    assert clock.slept == 3
    assert workspace.calls == []
    assert capsys.readouterr().err.count("waiting up to 10 s for the update by process") == 1


def test_a_running_update_that_is_killed_while_waited_for(
    workspace: FakeWorkspace, engine: FakeEngine, update: subprocess.Popen[bytes]
) -> None:
    """Its lock turns stale, and is cleared away."""
    lock_file(workspace, held_by(update.pid))

    def kill() -> None:
        update.kill()
        update.wait()

    clock = FakeClock(while_asleep=kill)
    recover(workspace, engine, Patience(10, clock.now, clock.sleep))
    assert workspace.calls == ["cancel"]


def test_patience_has_an_end(
    workspace: FakeWorkspace, engine: FakeEngine, update: subprocess.Popen[bytes]
) -> None:
    """An update that goes on is not touched: refused, with who runs it, and how its lock can be ended."""
    lock_file(workspace, held_by(update.pid))
    engine.containers.add("half-made")
    clock = FakeClock()
    with pytest.raises(RunbookError, match=f"dev is being updated by process {update.pid}") as refusal:
        recover(workspace, engine, Patience(10, clock.now, clock.sleep))
    assert "bin/pulumi cancel --stack dev" in refusal.value.hint
    assert clock.time == 1010
    assert removed(engine) == []
    assert workspace.calls == []


def test_a_process_of_another_machine_cannot_be_judged(workspace: FakeWorkspace, engine: FakeEngine) -> None:
    """The same number here says nothing about it: it counts as running."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS, host="elsewhere"))
    with pytest.raises(RunbookError, match="on elsewhere"):
        recover(workspace, engine, Patience(0))


def test_a_number_that_another_program_has_now_is_stale(workspace: FakeWorkspace) -> None:
    """A process that is not the CLI holds no lock."""
    lock_file(workspace, held_by(1))
    assert [lock.is_stale for lock in read_locks(workspace)] == [True]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"pid": "x", "hostname": "h", "username": "u", "timestamp": "t"}', "\x00"]
)
def test_a_damaged_lock_is_an_error(workspace: FakeWorkspace, engine: FakeEngine, text: str) -> None:
    """Who holds it is not known, so it is not touched; the file and the way out are named."""
    file = lock_file(workspace, text)
    with pytest.raises(RunbookError, match=str(file)) as refusal:
        recover(workspace, engine)
    assert "bin/pulumi cancel --stack dev" in refusal.value.hint
    assert workspace.calls == []


def test_a_lock_that_is_let_go_while_it_is_read_is_none(workspace: FakeWorkspace) -> None:
    """Between listing the folder and reading the file an update may end."""
    lock_file(workspace, held_by(NO_SUCH_PROCESS)).unlink()
    (lock_file(workspace, "x").parent / "gone.json").symlink_to("nowhere.json")
    lock_file(workspace, "x").unlink()
    assert read_locks(workspace) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"checkpoint": 1}'])
def test_a_damaged_state_is_an_error(workspace: FakeWorkspace, engine: FakeEngine, text: str) -> None:
    """The file is named, and where earlier ones are."""
    pending(workspace)
    (Path(workspace.state_folder or "") / "stacks/runbook/dev.json").write_text(text)
    with pytest.raises(RunbookError, match=r"state of stack dev is damaged: .*dev\.json") as refusal:
        recover(workspace, engine)
    assert "backups" in refusal.value.hint


def test_elsewhere_the_state_is_forgotten_first(engine: FakeEngine) -> None:
    """Another backend's locks cannot be seen: where it refuses, since an update runs, nothing is removed."""

    class Running(FakeWorkspace):
        def without_pending(self) -> None:
            raise RunbookError("the stack is locked", "wait")

    pending(running := Running(), "web-2")
    unknown = engine.containers.add("web-2")
    with pytest.raises(RunbookError, match="locked"):
        recover(running, engine)
    assert not unknown.removed
    pending(ended := FakeWorkspace(), "web-2")
    recover(ended, engine)
    assert unknown.removed
    assert ended.calls == ["without_pending"]
